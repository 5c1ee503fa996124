//! Softmax over the channels of each element, in three passes.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::softmax::SoftmaxRecord;

impl SoftmaxRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let n = self.input.channels;
        for y in rows {
            for x in 0..self.input.width {
                let from = self.input.row(y) + x * n;
                let to = self.output.row(y) + x * n;
                let element = &arena.segment(self.input.segment)[from..from + n];
                let highest = element.iter().map(|&x| x as i8).max().unwrap_or(0);
                let difference = |x: u8| highest.wrapping_sub(x as i8) as u8;
                let sum = element
                    .iter()
                    .fold(0u32, |sum, &x| sum.wrapping_add(self.exp(difference(x))))
                    .max(1);
                for i in 0..n {
                    let x = arena.segment(self.input.segment)[from + i];
                    let e = self.exp(difference(x));
                    let share = e.wrapping_mul(256).wrapping_add(sum >> 1) / sum;
                    let place = &mut arena.segment_mut(self.output.segment)[to + i];
                    *place = (share as i32 - 128).min(127) as u8;
                }
            }
        }
    }
}
