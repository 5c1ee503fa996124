//! Add of two tensors, or of a tensor and a constant.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

use crate::ir::{Clamp, Op, TensorId};

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let (a, b) = (cx.input(node, 0)?, cx.input(node, 1)?);
    let y = match (cx.channel_constant(a, b)?, cx.channel_constant(b, a)?) {
        (Some((axis, values)), _) => cx.affine(b, axis, vec![1.0; values.len()], values),
        (_, Some((axis, values))) => cx.affine(a, axis, vec![1.0; values.len()], values),
        _ => cx.binary(Op::Add { clamp: Clamp::NONE }, a, b)?,
    };
    cx.bind(node, y)
}

impl Importer<'_> {
    /// The constant `c` as one value per index of one axis of `x`, if it is constant and `x` is
    /// not. A scalar runs along the last axis.
    pub(super) fn channel_constant(
        &self,
        c: TensorId,
        x: TensorId,
    ) -> Result<Option<(usize, Vec<f32>)>, Problem> {
        let (constant, shape) = (self.graph.tensor(c), self.shape(x));
        let Some(values) = constant.f32s() else {
            return Ok(None);
        };
        if self.graph.tensor(x).is_constant() {
            return Ok(None);
        }
        let refuse = || Problem::Unsupported {
            what: format!(
                "a constant of shape {:?} with a tensor of shape {shape:?}; use one value, or one \
                 value per channel",
                constant.shape
            ),
        };
        let Some(last) = shape.len().checked_sub(1) else {
            return Err(refuse());
        };
        if values.len() == 1 {
            return Ok(Some((last, vec![values[0]; shape[last]])));
        }
        let Some(offset) = shape.len().checked_sub(constant.shape.len()) else {
            return Err(refuse());
        };
        let mut long = constant
            .shape
            .iter()
            .enumerate()
            .filter(|&(_, &extent)| extent != 1);
        match (long.next(), long.next()) {
            (Some((axis, &extent)), None) if shape[axis + offset] == extent => {
                Ok(Some((axis + offset, values.to_vec())))
            }
            _ => Err(refuse()),
        }
    }

    /// `x * scale + offset` per index of an axis.
    pub(super) fn affine(
        &mut self,
        x: TensorId,
        axis: usize,
        scale: Vec<f32>,
        offset: Vec<f32>,
    ) -> TensorId {
        let moved = self.axis_last(x, axis);
        let shape = self.shape(moved).to_vec();
        let s = self.constant("scale", vec![scale.len()], scale);
        let o = self.constant("offset", vec![offset.len()], offset);
        let y = self.emit(Op::Affine, vec![moved, s, o], shape);
        self.axis_from_last(y, axis)
    }

    /// An operation on two tensors of one shape.
    pub(super) fn binary(&mut self, op: Op, a: TensorId, b: TensorId) -> Result<TensorId, Problem> {
        let shape = self.shape(a).to_vec();
        if shape != self.shape(b) {
            let what = format!(
                "tensors of different shapes, {shape:?} and {:?}; only a constant may be repeated",
                self.shape(b)
            );
            return Err(Problem::Unsupported { what });
        }
        Ok(self.emit(op, vec![a, b], shape))
    }
}
