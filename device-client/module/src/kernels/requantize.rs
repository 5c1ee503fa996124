//! Change of scale and zero point.

use core::ops::Range;

use super::elementwise::unary;
use crate::arena::Arena;
use crate::numerics::Multiplier;
use crate::plan::Clamp;
use crate::plan::requantize::RequantizeRecord;

impl RequantizeRecord {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        unary(arena, (&self.input, &self.output), rows, |input, out| {
            requantize(
                input,
                self.input_zero_point,
                self.multiplier,
                self.clamp,
                out,
            );
        });
    }
}

pub(super) fn requantize(
    input: &[u8],
    zero_point: i8,
    multiplier: Multiplier,
    clamp: Clamp,
    out: &mut [u8],
) {
    for (out, &x) in out.iter_mut().zip(input) {
        let acc = i32::from(x as i8) - i32::from(zero_point);
        *out = clamp.requantize(acc, multiplier);
    }
}
