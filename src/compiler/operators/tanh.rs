//! Tanh.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Move, Op, Operands, Operator, Prepared, ScaleRule};

pub(super) const ONNX: &[OnnxOperator] = &[known("Tanh", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let y = cx.emit(Tanh, vec![x])?;
    cx.bind(node, y)
}

/// Hyperbolic tangent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tanh;

impl Operator for Tanh {
    fn name(&self) -> &'static str {
        "tanh"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        elementwise::map(self, x, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::Fixed {
            scale: 1.0 / 128.0,
            zero: 0,
        }
    }

    fn function(&self, x: f64) -> Option<f64> {
        Some(libm::tanh(x))
    }

    fn in_place(&self) -> &'static [usize] {
        &[0]
    }

    fn before_move(&self, _: &Move<'_>) -> Option<Op> {
        Some(self.clone().into())
    }
}
