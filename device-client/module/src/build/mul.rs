//! Product, as the compiler gives it.

use super::writer::Writer;
use super::{BuildError, Operand};
use crate::numerics::Multiplier;
use crate::plan::{Clamp, View};

/// Product (N8).
#[derive(Debug, Clone, PartialEq)]
pub struct Mul {
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
    /// Made by [`Multiplier::product`].
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl Mul {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        w.view(&self.a)?;
        self.b.encode(w)?;
        w.view(&self.output)?;
        w.multiplier(self.multiplier);
        w.i8(self.a_zero_point);
        w.i8(self.b_zero_point);
        w.clamp(&self.clamp);
        Ok(())
    }
}
