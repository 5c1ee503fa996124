//! Softmax over the channels of each element, in three passes.

use crate::plan::softmax::SoftmaxRecord;

impl SoftmaxRecord<'_> {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        let n = self.input.channels;
        for y in 0..self.input.height {
            for x in 0..self.input.width {
                let from = self.input.row(y) + x * n;
                let to = self.output.row(y) + x * n;
                let element = &memory[from..from + n];
                let highest = element.iter().map(|&x| x as i8).max().unwrap_or(0);
                let difference = |x: u8| highest.wrapping_sub(x as i8) as u8;
                let sum = element
                    .iter()
                    .fold(0u32, |sum, &x| sum.wrapping_add(self.exp(difference(x))))
                    .max(1);
                for i in 0..n {
                    let e = self.exp(difference(memory[from + i]));
                    let share = e.wrapping_mul(256).wrapping_add(sum >> 1) / sum;
                    memory[to + i] = (share as i32 - 128).min(127) as u8;
                }
            }
        }
    }
}
