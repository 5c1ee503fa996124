//! Change of scale and zero point (N7).

use super::{Tensor, rq, saturate};
use crate::numerics::Multiplier;
use crate::plan::Clamp;

/// `acc = x - zi`, requantized.
pub fn requantize(
    input: &Tensor,
    input_zero_point: i8,
    multiplier: Multiplier,
    clamp: &Clamp,
) -> Tensor {
    let data = input
        .data
        .iter()
        .map(|&x| {
            let acc = i64::from(x) - i64::from(input_zero_point);
            saturate(rq(acc, multiplier), clamp)
        })
        .collect();
    Tensor { data, ..*input }
}
