//! Change of scale and zero point.

use super::elementwise::unary;
use crate::numerics::Multiplier;
use crate::plan::Clamp;
use crate::plan::requantize::RequantizeRecord;

impl RequantizeRecord {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        unary(memory, &self.input, &self.output, |input, out| {
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
