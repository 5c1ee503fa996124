//! Maximum over a window, all channels of an element at once.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::max_pool::MaxPoolRecord;

impl MaxPoolRecord {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.input, &self.output);
        max_pool(self, input, output, rows);
    }
}

/// Computes output rows `rows`; both slices begin at their span.
pub fn max_pool(op: &MaxPoolRecord, input: &[u8], output: &mut [u8], rows: Range<usize>) {
    let (steps_y, steps_x) = (op.window.rows(), op.window.columns());
    let depth = op.input.channels;
    for y in rows {
        let top = steps_y.origin(y);
        let (first_row, end_row) = steps_y.valid(top, op.input.height);
        let row_out = op.output.row_of_mut(output, y);
        for (x, out) in row_out.chunks_exact_mut(depth).enumerate() {
            let left = steps_x.origin(x);
            let (first, end) = steps_x.valid(left, op.input.width);
            // The lowest value is what an empty maximum gives after the clamp, too.
            out.fill(op.low as u8);
            for ky in first_row..end_row {
                let at = (top + (ky * steps_y.dilation) as isize) as usize;
                let row = op.input.row_of(input, at);
                for kx in first..end {
                    let at = (left + (kx * steps_x.dilation) as isize) as usize * depth;
                    for (out, &x) in out.iter_mut().zip(&row[at..at + depth]) {
                        *out = (*out as i8).max(x as i8) as u8;
                    }
                }
            }
            if op.high < 127 {
                for out in out {
                    *out = (*out as i8).min(op.high) as u8;
                }
            }
        }
    }
}
