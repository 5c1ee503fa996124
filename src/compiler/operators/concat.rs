//! Concat along one axis.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Move, Op, Operands, Operator, Prepared};

pub(super) const ONNX: &[OnnxOperator] = &[known("Concat", 1..=64, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let inputs = (0..node.input_count())
        .map(|i| cx.input(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    let rank = inputs.first().map_or(0, |&first| cx.shape(first).len());
    let axis = node.axis("axis", 0, rank)?;
    let constants = inputs.iter().filter(|&&i| cx.tensor(i).is_constant());
    if !matches!(constants.count(), 0) && inputs.iter().any(|&i| !cx.tensor(i).is_constant()) {
        let what = "a constant joined with a tensor is not supported; use Pad or a bias".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.emit(Concat { axis }, inputs)?;
    cx.bind(node, y)
}

/// Joins along an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Concat {
    fn join<T: Copy>(&self, inputs: &[(&[T], &[usize])]) -> Vec<T> {
        let outer: usize = inputs
            .first()
            .map_or(0, |(_, shape)| shape[..self.axis].iter().product());
        let mut out = Vec::new();
        for index in 0..outer {
            for (values, shape) in inputs {
                let run: usize = shape[self.axis..].iter().product();
                out.extend_from_slice(&values[index * run..(index + 1) * run]);
            }
        }
        out
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            *out = self.join(&x.inputs);
        }
    }

    fn integers(&self, inputs: &[(&[i64], &[usize])]) -> Option<Vec<i64>> {
        Some(self.join(inputs))
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        let Some((first, rest)) = inputs.split_first() else {
            return Ok(None);
        };
        let mut shape = first.to_vec();
        for other in rest {
            let fits = other.len() == first.len()
                && (0..first.len()).all(|axis| axis == self.axis || other[axis] == first[axis]);
            if !fits {
                return Err(Problem::Shapes {
                    detail: format!("{first:?} joined with {other:?}"),
                });
            }
            shape[self.axis] += other[self.axis];
        }
        Ok(Some(vec![shape]))
    }

    fn before_move(&self, by: &Move<'_>) -> Option<Op> {
        let axis = *by.perm?.get(self.axis)?;
        by.all.then(|| Self { axis }.into())
    }
}
