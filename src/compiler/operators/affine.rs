//! A factor and an offset per index of the last axis: batch normalization, constants.

use tinsmith_build_job::Problem;

use super::linear::Linear;
use crate::import::Importer;
use crate::ir::{Move, Op, Operands, Operator, Prepared, TensorId};

/// Inputs x, scale, offset; both run along the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine;

impl Operator for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let (scale, offset) = (x.values(1), x.values(2));
        let last = scale.len().max(1);
        for out in out {
            for (x, out) in x.values(0).chunks(last).zip(out.chunks_mut(last)) {
                for (((out, x), s), o) in out.iter_mut().zip(x).zip(scale).zip(offset) {
                    *out = x * s + o;
                }
            }
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        Ok(inputs.first().map(|x| vec![x.to_vec()]))
    }

    fn before_move(&self, by: &Move<'_>) -> Option<Op> {
        by.keeps_last().then(|| self.clone().into())
    }
}

impl Importer<'_> {
    /// `x * scale + offset` per index of an axis, or with one value for all elements.
    pub(super) fn affine(
        &mut self,
        x: TensorId,
        axis: Option<usize>,
        scale: Vec<f32>,
        offset: Vec<f32>,
    ) -> Result<TensorId, Problem> {
        let Some(axis) = axis else {
            let first = |values: &[f32]| f64::from(values.first().copied().unwrap_or_default());
            return self.emit(Linear::new(first(&scale), first(&offset)), vec![x]);
        };
        let moved = self.axis_last(x, axis)?;
        let s = self.constant("scale", vec![scale.len()], scale);
        let o = self.constant("offset", vec![offset.len()], offset);
        let y = self.emit(Affine, vec![moved, s, o])?;
        self.axis_from_last(y, axis)
    }
}
