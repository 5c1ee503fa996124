//! Copy between two orders of elements.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::copy::CopyRecord;

impl CopyRecord {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.input, &self.output);
        let row = self.output.row_bytes();
        let [_, n1, n2, n3] = self.shape;
        let [s0, s1, s2, s3] = self.input_strides;
        // The rows are dense; lines of the innermost axis may begin and end anywhere in them.
        let mut at = rows.start * row;
        let mut rest = &mut output[at..rows.end * row];
        while !rest.is_empty() {
            let (i3, line) = (at % n3, at / n3);
            let (i2, i1, i0) = (line % n2, line / n2 % n1, line / n2 / n1);
            let start = self.input_start + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3;
            let length = (n3 - i3).min(rest.len());
            let (line, behind) = rest.split_at_mut(length);
            if s3 == 1 {
                line.copy_from_slice(&input[start..start + length]);
            } else {
                for (i, out) in line.iter_mut().enumerate() {
                    *out = input[start + i * s3];
                }
            }
            at += length;
            rest = behind;
        }
    }
}
