//! Sum and difference, as the compiler gives it.

use super::BuildError;
use super::Operand;
use super::writer::Writer;
use crate::numerics::SumFactors;
use crate::plan::{Clamp, View};

/// Sum or difference (N8).
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// First operand; has the shape of the output.
    pub a: View,
    /// Second operand.
    pub b: Operand,
    /// Output tensor; may be an operand.
    pub output: View,
    /// Zero point of the first operand.
    pub a_zero_point: i8,
    /// Zero point of the second operand.
    pub b_zero_point: i8,
    /// Made by [`SumFactors::add`] or [`SumFactors::sub`].
    pub factors: SumFactors,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl Add {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.a)?;
        self.b.encode(w)?;
        w.view(&self.output)?;
        w.i32(self.factors.a);
        w.i32(self.factors.b);
        w.u8(self.factors.shift);
        w.zeros(3);
        w.i8(self.a_zero_point);
        w.i8(self.b_zero_point);
        w.clamp(&self.clamp);
        Ok(())
    }
}
