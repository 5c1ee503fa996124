//! Transpose.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Operands, Operator, Prepared, ScaleRule};

pub(super) const ONNX: &[OnnxOperator] = &[known("Transpose", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let rank = cx.shape(x).len();
    let perm: Vec<usize> = match node.ints("perm") {
        Some(perm) if perm.len() == rank => perm
            .iter()
            .map(|&p| usize::try_from(p).unwrap_or(0))
            .collect(),
        Some(perm) => {
            return Err(Problem::Attribute {
                attribute: "perm".into(),
                value: format!("{perm:?}"),
                rule: format!("it must have {rank} values"),
            });
        }
        None => (0..rank).rev().collect(),
    };
    let y = cx.transpose(x, perm)?;
    cx.bind(node, y)
}

/// Output axis i is input axis `perm[i]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transpose {
    /// The permutation.
    pub perm: Vec<usize>,
}

/// Elements in another order.
pub(crate) fn transposed<T: Copy>(perm: &[usize], x: &[T], shape: &[usize]) -> Vec<T> {
    let rank = perm.len();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    (0..x.len())
        .map(|index| {
            let (mut rest, mut at) = (index, 0);
            for axis in (0..rank).rev() {
                let extent = shape[perm[axis]];
                at += (rest % extent) * strides[perm[axis]];
                rest /= extent;
            }
            x[at]
        })
        .collect()
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            *out = transposed(&self.perm, x.values(0), x.shape(0));
        }
    }

    fn integers(&self, inputs: &[(&[i64], &[usize])]) -> Option<Vec<i64>> {
        let (values, shape) = inputs.first()?;
        Some(transposed(&self.perm, values, shape))
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        let extents = inputs.first().and_then(|from| {
            let taken: Option<Vec<usize>> =
                self.perm.iter().map(|&p| from.get(p).copied()).collect();
            taken.filter(|to| to.len() == from.len())
        });
        match extents {
            Some(to) => Ok(Some(vec![to])),
            None => Err(Problem::Shapes {
                detail: format!("the axes of {inputs:?} put in the order {:?}", self.perm),
            }),
        }
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(0)
    }
}
