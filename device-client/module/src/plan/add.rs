//! Sum and difference: record 4.

use super::operand::OperandRecord;
use super::reader::Reader;
use super::{Clamp, Operator, Problem, Span};
use crate::numerics::SumFactors;

/// Sum or difference as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct AddRecord<'m> {
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
    /// Constants of N8.
    pub factors: SumFactors,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl<'m> Operator<'m> for AddRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let a = r.view()?;
        let b = OperandRecord::decode(r)?;
        let output = r.view()?;
        let factors = SumFactors {
            a: r.i32()?,
            b: r.i32()?,
            shift: r.u8()?,
        };
        r.zeros(3)?;
        let a_zero_point = r.i8()?;
        let b_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        Ok(AddRecord {
            a,
            b,
            output,
            a_zero_point,
            b_zero_point,
            factors,
            clamp,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        if !(1..=30).contains(&self.factors.shift) {
            return Err(Problem::Multiplier);
        }
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
