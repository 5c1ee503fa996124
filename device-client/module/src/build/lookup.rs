//! Elementwise function as a table, as the compiler gives it.

use super::BuildError;
use super::writer::Writer;
use crate::format::record::Layout;
use crate::plan::View;

/// Elementwise function as a table (N10).
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// Result for each stored value, from -128 to 127.
    pub table: [i8; 256],
}

impl Lookup {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        w.weights(Layout::Table, &self.table)
    }
}
