//! Padding with a constant, as the compiler gives it.

use super::BuildError;
use super::writer::Writer;
use crate::plan::View;

/// Padding with a constant (N7).
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// Input tensor.
    pub input: View,
    /// Output tensor; what the input does not cover is padding.
    pub output: View,
    /// Rows above the input.
    pub top: u32,
    /// Columns left of the input.
    pub left: u32,
    /// Channels before the input's.
    pub front: u32,
    /// Stored value of the padding.
    pub value: i8,
}

impl Pad {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        w.u16(self.top, "padding")?;
        w.u16(self.left, "padding")?;
        w.u16(self.front, "padding")?;
        w.i8(self.value);
        Ok(())
    }
}
