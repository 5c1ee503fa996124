//! Sum and difference (N8).

use super::{Tensor, saturate};
use crate::numerics::SumFactors;
use crate::plan::Clamp;

/// `((a - za) * ma + (b - zb) * mb + 2^(S-1)) >> S`; `b` is repeated along the dimensions of which
/// it has one only.
pub fn add(
    a: &Tensor,
    b: &Tensor,
    (za, zb): (i8, i8),
    factors: &SumFactors,
    clamp: &Clamp,
) -> Tensor {
    let mut output = Tensor::new(a.height, a.width, a.channels);
    for (y, x, c) in output.coordinates() {
        let (by, bx, bc) = repeated(b, y, x, c);
        let first = (a.at(y, x, c) - i64::from(za)) * i64::from(factors.a);
        let second = (b.at(by, bx, bc) - i64::from(zb)) * i64::from(factors.b);
        let half = 1i64 << (factors.shift - 1);
        output.set(
            y,
            x,
            c,
            saturate((first + second + half) >> factors.shift, clamp),
        );
    }
    output
}

pub(super) fn repeated(b: &Tensor, y: usize, x: usize, c: usize) -> (usize, usize, usize) {
    (
        y.min(b.height - 1),
        x.min(b.width - 1),
        c.min(b.channels - 1),
    )
}
