//! Change of scale and zero point, as the compiler gives it.

use super::BuildError;
use super::writer::Writer;
use crate::numerics::Multiplier;
use crate::plan::{Clamp, View};

/// Change of scale and zero point (N7).
#[derive(Debug, Clone, PartialEq)]
pub struct Requantize {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Made by [`Multiplier::rescale`].
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl Requantize {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.input)?;
        w.view(&self.output)?;
        w.multiplier(self.multiplier);
        w.i8(self.input_zero_point);
        w.clamp(&self.clamp);
        Ok(())
    }
}
