//! Copy between two orders of elements, as the compiler gives it.

use super::BuildError;
use super::writer::Writer;
use crate::plan::View;

/// Element-by-element copy into another order: transpositions, slices.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Memory read from, dense; `input_start` and `input_strides` refer to it.
    pub input: View,
    /// Memory written to, dense, in the order of `shape`.
    pub output: View,
    /// Elements along each of up to four axes of the output, outermost first, padded with 1.
    pub shape: [u32; 4],
    /// First byte read, relative to the input.
    pub input_start: u32,
    /// Bytes in the input from one element to the next along each axis of `shape`.
    pub input_strides: [u32; 4],
}

impl Copy {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        for length in self.shape {
            w.u32(length);
        }
        w.u32(self.input_start);
        for stride in self.input_strides {
            w.u32(stride);
        }
        Ok(())
    }
}
