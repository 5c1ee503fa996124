//! Padding with a constant: record 11.

use super::reader::Reader;
use super::{Operator, Problem, Span};

/// Padding with a constant as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct PadRecord {
    /// Input tensor.
    pub input: Span,
    /// Output tensor; what the input does not cover is padding.
    pub output: Span,
    /// Rows above the input.
    pub top: usize,
    /// Columns left of the input.
    pub left: usize,
    /// Channels before the input's.
    pub front: usize,
    /// Stored value of the padding.
    pub value: i8,
}

impl<'m> Operator<'m> for PadRecord {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let top = usize::from(r.u16()?);
        let left = usize::from(r.u16()?);
        let front = usize::from(r.u16()?);
        let value = r.i8()?;
        Ok(PadRecord {
            input,
            output,
            top,
            left,
            front,
            value,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        if self.top + self.input.height > self.output.height
            || self.left + self.input.width > self.output.width
            || self.front + self.input.channels > self.output.channels
        {
            return Err(Problem::Shape);
        }
        self.input.disjoint(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
