//! Softmax along one axis.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Operands, Operator, Prepared, ScaleRule};

pub(super) const ONNX: &[OnnxOperator] = &[known("Softmax", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let shape = cx.shape(x).to_vec();
    let rank = shape.len();
    let y = if cx.opset() >= 13 {
        let axis = node.axis("axis", -1, rank)?;
        let moved = cx.axis_last(x, axis)?;
        let y = cx.emit(Softmax, vec![moved])?;
        cx.axis_from_last(y, axis)?
    } else {
        // Before operator set 13 it runs over everything from the axis on.
        let axis = node.axis("axis", 1, rank)?;
        let outer = shape[..axis].iter().product();
        let flat = vec![outer, shape[axis..].iter().product()];
        let moved = cx.reshape(x, flat)?;
        let y = cx.emit(Softmax, vec![moved])?;
        cx.reshape(y, shape)?
    };
    cx.bind(node, y)
}

/// exp(x) / sum exp(x) along the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Softmax;

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let last = x.shape(0).last().copied().unwrap_or(1).max(1);
        for out in out {
            for (x, out) in x.values(0).chunks(last).zip(out.chunks_mut(last)) {
                let top = x
                    .iter()
                    .fold(f32::NEG_INFINITY, |top, &v| if v > top { v } else { top });
                let mut sum = 0.0_f32;
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = libm::expf(x - top);
                    sum += *out;
                }
                for out in out {
                    *out /= sum;
                }
            }
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::Fixed {
            scale: 1.0 / 256.0,
            zero: -128,
        }
    }

    fn in_place(&self) -> &'static [usize] {
        &[0]
    }
}
