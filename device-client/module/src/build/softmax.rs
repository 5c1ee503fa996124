//! Softmax, as the compiler gives it.

use alloc::vec::Vec;

use super::BuildError;
use super::writer::Writer;
use crate::format::record::Layout;
use crate::plan::View;

/// Softmax over the channels of each element (N11); the output has scale 1/256, zero point
/// -128.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// `T[d] = rint(exp(-s_in * d) * 2^k)` of N11.
    pub table: [u32; 256],
}

impl Softmax {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        let table = self.table.iter().flat_map(|e| e.to_le_bytes());
        w.constant(Layout::Table, &table.collect::<Vec<u8>>())
    }
}
