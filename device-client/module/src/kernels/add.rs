//! Sum and difference.

use core::ops::Range;

use super::elementwise::binary;
use crate::arena::Arena;
use crate::plan::add::AddRecord;

impl AddRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let factors = self.factors;
        let shift = u32::from(factors.shift);
        // The zero points leave the loop as one constant: a * ma + b * mb + constant.
        let constant = (1i32 << (shift - 1))
            .wrapping_sub(i32::from(self.a_zero_point).wrapping_mul(factors.a))
            .wrapping_sub(i32::from(self.b_zero_point).wrapping_mul(factors.b));
        let zero_point = i32::from(self.clamp.zero_point);
        let (low, high) = (i32::from(self.clamp.low), i32::from(self.clamp.high));
        let operands = (&self.a, &self.b, &self.output);
        binary(arena, operands, rows, |a, b, out| {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let sum = i32::from(a as i8)
                    .wrapping_mul(factors.a)
                    .wrapping_add(i32::from(b as i8).wrapping_mul(factors.b))
                    .wrapping_add(constant);
                *out = ((sum >> shift) + zero_point).max(low).min(high) as u8;
            }
        });
    }
}
