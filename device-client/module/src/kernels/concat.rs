//! Concatenation: each input is copied or requantized to its place in the output.

use core::ops::Range;

use super::requantize::requantize;
use crate::arena::Arena;
use crate::plan::Axis;
use crate::plan::concat::{ConcatRecord, ConcatSource};

impl ConcatRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let mut before = 0;
        for ConcatSource {
            input,
            requantize: factor,
        } in self.inputs()
        {
            let (bytes, output) = arena.split(&input, &self.output);
            let place = |from: &[u8], to: &mut [u8]| match factor {
                Some((zero_point, m)) => requantize(from, zero_point, m, self.clamp, to),
                None => to.copy_from_slice(from),
            };
            // The first output row that this input has, and what comes before it in a row.
            let (top, left) = match self.axis {
                Axis::Height => (before, 0),
                Axis::Width => (0, before * input.channels),
                Axis::Channels => (0, before),
            };
            for y in rows.start.max(top)..rows.end.min(top + input.height) {
                let row = input.row_of(bytes, y - top);
                let target = self.output.row_of_mut(output, y);
                if self.axis == Axis::Channels {
                    let targets = target.chunks_exact_mut(self.output.channels);
                    for (element, target) in row.chunks_exact(input.channels).zip(targets) {
                        place(element, &mut target[left..left + element.len()]);
                    }
                } else {
                    place(row, &mut target[left..left + row.len()]);
                }
            }
            before += self.axis.length(&input);
        }
    }
}
