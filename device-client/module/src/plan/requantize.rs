//! Change of scale and zero point: record 10.

use super::reader::Reader;
use super::{Clamp, Operator, Problem, Span};
use crate::numerics::Multiplier;

/// Change of scale and zero point as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct RequantizeRecord {
    /// Input tensor.
    pub input: Span,
    /// Output tensor; may be the input.
    pub output: Span,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Multiplier from the input's scale to the output's.
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

impl<'m> Operator<'m> for RequantizeRecord {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let multiplier = r.multiplier()?;
        let input_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        Ok(RequantizeRecord {
            input,
            output,
            input_zero_point,
            multiplier,
            clamp,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        self.clamp.check()?;
        if !self.input.same_shape(&self.output) {
            return Err(Problem::Shape);
        }
        self.input.disjoint_or_same(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
