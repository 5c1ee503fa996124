//! Add of two tensors, or of a tensor and a constant.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Clamp, Move, Op, Operands, Operator, Prepared};

pub(super) const ONNX: &[OnnxOperator] = &[known("Add", 2..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let (a, b) = (cx.input(node, 0)?, cx.input(node, 1)?);
    let y = match (cx.channel_constant(a, b)?, cx.channel_constant(b, a)?) {
        (Some((axis, values)), _) => cx.affine(b, axis, vec![1.0; values.len()], values)?,
        (_, Some((axis, values))) => cx.affine(a, axis, vec![1.0; values.len()], values)?,
        _ => cx.emit(Add { clamp: Clamp::NONE }, vec![a, b])?,
    };
    cx.bind(node, y)
}

/// Sum of two tensors of one shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Add {
    /// Fused limits.
    pub clamp: Clamp,
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        elementwise::binary(x, self.clamp, out, |a, b| a + b);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn in_place(&self) -> &'static [usize] {
        &[0, 1]
    }

    fn before_move(&self, by: &Move<'_>) -> Option<Op> {
        by.all.then(|| self.clone().into())
    }

    fn clamp(&self) -> Option<Clamp> {
        Some(self.clamp)
    }

    fn with_clamp(&self, clamp: Clamp) -> Option<Op> {
        Some(Self { clamp }.into())
    }
}
