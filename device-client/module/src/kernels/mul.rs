//! Product.

use super::elementwise::binary;
use crate::plan::mul::MulRecord;

impl MulRecord<'_> {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        let (za, zb) = (i32::from(self.a_zero_point), i32::from(self.b_zero_point));
        binary(memory, &self.a, &self.b, &self.output, |a, b, out| {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let product = (i32::from(a as i8) - za) * (i32::from(b as i8) - zb);
                *out = self.clamp.requantize(product, self.multiplier);
            }
        });
    }
}
