//! Reshape, and the change of shape that it and its relatives become.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Operands, Operator, Prepared, ScaleRule};

pub(super) const ONNX: &[OnnxOperator] = &[known("Reshape", 2..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let wanted = cx.integers(node, 1, "shape")?.unwrap_or_default();
    let shape = resolve(cx.shape(x), &wanted, node.int("allowzero", 0) == 1)?;
    let y = cx.reshape(x, shape)?;
    cx.bind(node, y)
}

/// The shape that ONNX means: 0 stands for the input's extent, -1 for what is left.
fn resolve(from: &[usize], wanted: &[i64], zero_is_zero: bool) -> Result<Vec<usize>, Problem> {
    let refuse = || Problem::Shapes {
        detail: format!(
            "{from:?} can't become {:?}",
            wanted.iter().take(8).collect::<Vec<_>>()
        ),
    };
    if wanted.iter().filter(|&&extent| extent == -1).count() > 1 {
        return Err(refuse());
    }
    let mut shape = Vec::with_capacity(wanted.len());
    let mut known = 1_usize;
    for (axis, &extent) in wanted.iter().enumerate() {
        let extent = match extent {
            -1 => 1,
            0 if !zero_is_zero => from.get(axis).copied().ok_or_else(refuse)?,
            extent => usize::try_from(extent).map_err(|_| refuse())?,
        };
        known = known.checked_mul(extent).ok_or_else(refuse)?;
        shape.push(extent);
    }
    if let Some(open) = wanted.iter().position(|&extent| extent == -1) {
        let elements: usize = from.iter().product();
        shape[open] = elements.checked_div(known).ok_or_else(refuse)?;
    }
    Ok(shape)
}

/// Same elements in the same order, other shape (that of the output).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reshape;

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            out.clear();
            out.extend_from_slice(x.values(0));
        }
    }

    fn integers(&self, inputs: &[(&[i64], &[usize])]) -> Option<Vec<i64>> {
        inputs.first().map(|(values, _)| values.to_vec())
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(0)
    }

    fn is_view(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_copies_and_minus_one_takes_the_rest() {
        let from = [2, 3, 4];
        assert_eq!(resolve(&from, &[0, -1], false), Ok(vec![2, 12]));
        assert_eq!(resolve(&from, &[-1], false), Ok(vec![24]));
        assert_eq!(resolve(&from, &[4, 0, -1], false), Ok(vec![4, 3, 2]));
        assert_eq!(resolve(&from, &[3, 0], true), Ok(vec![3, 0]));
        for bad in [&[-1, -1][..], &[1, 1, 1, 0], &[-2, 3]] {
            assert!(resolve(&from, bad, false).is_err(), "{bad:?}");
        }
        assert!(resolve(&from, &[0, -1], true).is_err());
    }
}
