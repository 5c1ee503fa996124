//! Padding with a constant.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::pad::PadRecord;

impl PadRecord {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.input, &self.output);
        for y in rows {
            let row = self.output.row_of_mut(output, y);
            row.fill(self.value as u8);
            if y < self.top || y >= self.top + self.input.height {
                continue;
            }
            let elements = self
                .input
                .row_of(input, y - self.top)
                .chunks_exact(self.input.channels);
            let targets = row.chunks_exact_mut(self.output.channels).skip(self.left);
            for (element, target) in elements.zip(targets) {
                target[self.front..self.front + element.len()].copy_from_slice(element);
            }
        }
    }
}
