//! Product: record 5.

use super::operand::OperandRecord;
use super::reader::Reader;
use super::{Clamp, Operator, Problem, Span};
use crate::numerics::Multiplier;

/// Product as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct MulRecord<'m> {
    /// First operand; has the shape of the output.
    pub a: Span,
    /// Second operand.
    pub b: OperandRecord<'m>,
    /// Output tensor; may be an operand.
    pub output: Span,
    /// Zero point of the first operand.
    pub a_zero_point: i8,
    /// Zero point of the second operand.
    pub b_zero_point: i8,
    /// Multiplier of the product.
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl<'m> Operator<'m> for MulRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let a = r.view()?;
        let b = OperandRecord::decode(r)?;
        let output = r.view()?;
        let multiplier = r.multiplier()?;
        let a_zero_point = r.i8()?;
        let b_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        Ok(MulRecord {
            a,
            b,
            output,
            a_zero_point,
            b_zero_point,
            multiplier,
            clamp,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        self.clamp.check()?;
        if !self.a.same_shape(&self.output) {
            return Err(Problem::Shape);
        }
        self.a.disjoint_or_same(&self.output)?;
        self.b.verify(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
