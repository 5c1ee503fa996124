//! Copy between two orders of elements: record 13.

use super::reader::Reader;
use super::{Operator, Problem, Span};

/// Strided copy as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct CopyRecord {
    /// Memory read from, dense.
    pub input: Span,
    /// Memory written to, dense, in the order of `shape`.
    pub output: Span,
    /// Elements along each axis of the output, outermost first.
    pub shape: [usize; 4],
    /// First byte read, relative to the input.
    pub input_start: usize,
    /// Bytes in the input from one element to the next along each axis.
    pub input_strides: [usize; 4],
}

impl<'m> Operator<'m> for CopyRecord {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let mut fields = [0usize; 9];
        for field in &mut fields {
            *field = r.u32()? as usize;
        }
        let [a, b, c, d, input_start, e, f, g, h] = fields;
        let shape = [a, b, c, d];
        Ok(CopyRecord {
            input,
            output,
            shape,
            input_start,
            input_strides: [e, f, g, h],
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        if !self.input.is_dense() || !self.output.is_dense() {
            return Err(Problem::Shape);
        }
        let mut elements = 1u64;
        let mut last = self.input_start as u64;
        for (&length, &stride) in self.shape.iter().zip(&self.input_strides) {
            if length == 0 {
                return Err(Problem::Zero);
            }
            let reach = (length as u64 - 1).checked_mul(stride as u64);
            last = reach
                .and_then(|r| last.checked_add(r))
                .ok_or(Problem::Shape)?;
            elements = elements.checked_mul(length as u64).ok_or(Problem::Shape)?;
        }
        if elements != self.output.bytes() as u64 || last >= self.input.bytes() as u64 {
            return Err(Problem::Shape);
        }
        self.input.disjoint(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
