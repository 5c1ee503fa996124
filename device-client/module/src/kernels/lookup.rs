//! Elementwise function as a table.

use super::elementwise::unary;
use crate::plan::lookup::LookupRecord;

impl LookupRecord<'_> {
    pub(crate) fn execute(&self, memory: &mut [u8]) {
        unary(memory, &self.input, &self.output, |input, out| {
            for (out, &x) in out.iter_mut().zip(input) {
                // -128 is the first entry.
                *out = self.table[usize::from(x ^ 0x80)];
            }
        });
    }
}
