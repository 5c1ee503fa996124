//! Mean over a window, a block of channels at a time.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::average_pool::AveragePoolRecord;

const BLOCK: usize = if cfg!(target_arch = "arm") { 4 } else { 16 };

impl AveragePoolRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.input, &self.output);
        average_pool(self, input, output, rows);
    }
}

/// Computes output rows `rows`; both slices begin at their span.
pub fn average_pool(
    op: &AveragePoolRecord<'_>,
    input: &[u8],
    output: &mut [u8],
    rows: Range<usize>,
) {
    let (steps_y, steps_x) = (op.window.rows(), op.window.columns());
    let depth = op.input.channels;
    let mut known = (0, op.means.of(0));
    for y in rows {
        let top = steps_y.origin(y);
        let (first_row, end_row) = steps_y.valid(top, op.input.height);
        let row_out = op.output.row_of_mut(output, y);
        for (x, out) in row_out.chunks_exact_mut(depth).enumerate() {
            let left = steps_x.origin(x);
            let (first, end) = steps_x.valid(left, op.input.width);
            let count = (end_row - first_row) * (end - first);
            if known.0 != count {
                known = (count, op.means.of(count));
            }
            let offset = (count as i32).wrapping_mul(i32::from(op.input_zero_point));
            let mut c = 0;
            for block in out.chunks_mut(BLOCK) {
                let mut sums = [0i32; BLOCK];
                for ky in first_row..end_row {
                    let at = (top + (ky * steps_y.dilation) as isize) as usize;
                    let row = op.input.row_of(input, at);
                    for kx in first..end {
                        let at = (left + (kx * steps_x.dilation) as isize) as usize * depth + c;
                        let element = &row[at..at + block.len()];
                        if let Some(element) = element.first_chunk::<BLOCK>() {
                            for i in 0..BLOCK {
                                sums[i] = sums[i].wrapping_add(i32::from(element[i] as i8));
                            }
                        } else {
                            for (sum, &x) in sums.iter_mut().zip(element) {
                                *sum = sum.wrapping_add(i32::from(x as i8));
                            }
                        }
                    }
                }
                for (out, sum) in block.iter_mut().zip(sums) {
                    *out = op.clamp.requantize(sum.wrapping_sub(offset), known.1);
                }
                c += BLOCK;
            }
        }
    }
}
