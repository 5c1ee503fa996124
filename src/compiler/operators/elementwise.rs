//! What operations share that treat every element alike.

use tinsmith_build_job::Problem;

use crate::import::Importer;
use crate::ir::{Clamp, Operands, Operator, TensorId};

/// The axis that the values of a constant run along, none of a constant of one value; the values.
pub(super) type AlongAxis = (Option<usize>, Vec<f32>);

/// The one shape of all inputs.
pub(super) fn shapes(inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
    let Some((first, rest)) = inputs.split_first() else {
        return Ok(None);
    };
    match rest.iter().find(|other| *other != first) {
        None => Ok(Some(vec![first.to_vec()])),
        Some(other) => Err(Problem::Unsupported {
            what: format!(
                "tensors of different shapes, {first:?} and {other:?}; only a constant may be \
                 repeated"
            ),
        }),
    }
}

/// The function of an operator, by the libm crate.
pub(super) fn map(operator: &dyn Operator, x: &Operands<'_>, out: &mut [Vec<f32>]) {
    for out in out {
        for (out, &x) in out.iter_mut().zip(x.values(0)) {
            *out = operator
                .function(f64::from(x))
                .map_or(f32::NAN, |y| y as f32);
        }
    }
}

/// An operation on two tensors.
pub(super) fn binary(
    x: &Operands<'_>,
    clamp: Clamp,
    out: &mut [Vec<f32>],
    op: impl Fn(f32, f32) -> f32,
) {
    for out in out {
        for ((out, &a), &b) in out.iter_mut().zip(x.values(0)).zip(x.values(1)) {
            *out = clamp.apply(op(a, b));
        }
    }
}

/// Fused limits.
pub(super) fn limit(clamp: Clamp, out: &mut [Vec<f32>]) {
    if clamp.is_none() {
        return;
    }
    // Output by output, as a flattened iterator is not vectorized.
    for out in out {
        for value in out.as_mut_slice() {
            *value = clamp.apply(*value);
        }
    }
}

impl Importer<'_> {
    /// The constant `c` as one value per index of one axis of `x`, or as one value, if it is constant
    /// and `x` is not.
    pub(super) fn channel_constant(
        &self,
        c: TensorId,
        x: TensorId,
    ) -> Result<Option<AlongAxis>, Problem> {
        let (constant, shape) = (self.tensor(c), self.shape(x));
        let Some(values) = constant.f32s() else {
            return Ok(None);
        };
        if self.tensor(x).is_constant() {
            return Ok(None);
        }
        let refuse = || Problem::Unsupported {
            what: format!(
                "a constant of shape {:?} with a tensor of shape {shape:?}; use one value, or one \
                 value per channel",
                constant.shape
            ),
        };
        if let &[value] = values
            && constant.shape.len() <= shape.len()
        {
            return Ok(Some((None, vec![value])));
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
                Ok(Some((Some(axis + offset), values.to_vec())))
            }
            _ => Err(refuse()),
        }
    }
}
