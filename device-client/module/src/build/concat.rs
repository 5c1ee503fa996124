//! Concatenation, as the compiler gives it.

use alloc::vec::Vec;

use super::BuildError;
use super::writer::Writer;
use crate::numerics::Multiplier;
use crate::plan::{Axis, Clamp, View};

/// One input of a [`Concat`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConcatInput {
    /// Input tensor.
    pub view: View,
    /// Zero point and multiplier to the output's scale, or `None` to copy (N7).
    pub requantize: Option<(i8, Multiplier)>,
}

/// Concatenation along one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Concat {
    /// Inputs in order; 1 to 255.
    pub inputs: Vec<ConcatInput>,
    /// Output tensor.
    pub output: View,
    /// Axis along which the inputs follow each other.
    pub axis: Axis,
    /// Zero point and clamp of the requantized inputs.
    pub clamp: Clamp,
}

impl Concat {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        let count = u8::try_from(self.inputs.len())
            .map_err(|_| BuildError::TooLarge("the inputs of a concatenation"))?;
        w.view(&self.output)?;
        w.u8(self.axis as u8);
        w.u8(count);
        w.zeros(2);
        w.clamp(&self.clamp);
        w.zeros(1);
        for input in &self.inputs {
            w.view(&input.view)?;
            match input.requantize {
                None => w.zeros(4),
                Some((zero_point, multiplier)) => {
                    w.u16(1, "a flag")?;
                    w.i8(zero_point);
                    w.zeros(1);
                    w.multiplier(multiplier);
                }
            }
        }
        Ok(())
    }
}
