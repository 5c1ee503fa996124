//! Maximum over a window, as the compiler gives it.

use super::BuildError;
use super::writer::Writer;
use crate::plan::{View, Window};

/// Maximum over a window (N9); also ReduceMax. Input and output have one scale and zero point.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Input tensor.
    pub input: View,
    /// Output tensor.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Lowest stored value.
    pub low: i8,
    /// Highest stored value.
    pub high: i8,
}

impl MaxPool {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        w.window(&self.window)?;
        w.i8(self.low);
        w.i8(self.high);
        Ok(())
    }
}
