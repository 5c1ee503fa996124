//! Product (N8).

use super::add::repeated;
use super::{Tensor, rq, saturate};
use crate::numerics::Multiplier;
use crate::plan::Clamp;

/// `acc = (a - za) * (b - zb)`, requantized; `b` is repeated along the dimensions of which it has
/// one only.
pub fn mul(
    a: &Tensor,
    b: &Tensor,
    (za, zb): (i8, i8),
    multiplier: Multiplier,
    clamp: &Clamp,
) -> Tensor {
    let mut output = Tensor::new(a.height, a.width, a.channels);
    for (y, x, c) in output.coordinates() {
        let (by, bx, bc) = repeated(b, y, x, c);
        let acc = (a.at(y, x, c) - i64::from(za)) * (b.at(by, bx, bc) - i64::from(zb));
        output.set(y, x, c, saturate(rq(acc, multiplier), clamp));
    }
    output
}
