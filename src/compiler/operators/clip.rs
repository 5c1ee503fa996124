//! Clip, with its limits as attributes (operator set below 11) or constant inputs, and the limits
//! that it and Relu become.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Clamp, Move, Op, Operands, Operator, Prepared};

pub(super) const ONNX: &[OnnxOperator] = &[known("Clip", 1..=3, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let limit = |index, name| -> Result<Option<f32>, Problem> {
        if cx.opset() < 11 {
            return Ok(node.optional_float(name));
        }
        if node.input(index).is_empty() {
            return Ok(None);
        }
        Ok(cx.floats(node, index, "limit")?.0.first().copied())
    };
    let clamp = Clamp {
        lo: limit(1, "min")?.unwrap_or(f32::NEG_INFINITY),
        hi: limit(2, "max")?.unwrap_or(f32::INFINITY),
    };
    if clamp.lo > clamp.hi {
        return Err(Problem::Attribute {
            attribute: "min".into(),
            value: clamp.lo.to_string(),
            rule: format!("it must not exceed max, {}", clamp.hi),
        });
    }
    let y = cx.emit(Limit { clamp }, vec![x])?;
    cx.bind(node, y)
}

/// Limits that stand alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    /// The limits.
    pub clamp: Clamp,
}

impl Operator for Limit {
    fn name(&self) -> &'static str {
        "clamp"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            for (out, &x) in out.iter_mut().zip(x.values(0)) {
                *out = self.clamp.apply(x);
            }
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn function(&self, x: f64) -> Option<f64> {
        let (lo, hi) = (f64::from(self.clamp.lo), f64::from(self.clamp.hi));
        Some(if x < lo {
            lo
        } else if x > hi {
            hi
        } else {
            x
        })
    }

    fn in_place(&self) -> &'static [usize] {
        &[0]
    }

    fn before_move(&self, _: &Move<'_>) -> Option<Op> {
        Some(self.clone().into())
    }

    fn clamp(&self) -> Option<Clamp> {
        Some(self.clamp)
    }

    fn with_clamp(&self, clamp: Clamp) -> Option<Op> {
        Some(Self { clamp }.into())
    }
}
