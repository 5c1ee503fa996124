//! Product.

use core::ops::Range;

use super::elementwise::binary;
use crate::arena::Arena;
use crate::plan::mul::MulRecord;

impl MulRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (za, zb) = (i32::from(self.a_zero_point), i32::from(self.b_zero_point));
        let operands = (&self.a, &self.b, &self.output);
        binary(arena, operands, rows, |a, b, out| {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let product = (i32::from(a as i8) - za) * (i32::from(b as i8) - zb);
                *out = self.clamp.requantize(product, self.multiplier);
            }
        });
    }
}
