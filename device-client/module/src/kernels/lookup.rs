//! Elementwise function as a table.

use core::ops::Range;

use super::elementwise::unary;
use crate::arena::Arena;
use crate::plan::lookup::LookupRecord;

impl LookupRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        unary(arena, (&self.input, &self.output), rows, |input, out| {
            for (out, &x) in out.iter_mut().zip(input) {
                // -128 is the first entry.
                *out = self.table[usize::from(x ^ 0x80)];
            }
        });
    }
}
