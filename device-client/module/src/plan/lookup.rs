//! Elementwise function as a table: record 9.

use super::reader::Reader;
use super::{Operator, Problem, Span};
use crate::format::record::Layout;

/// Elementwise function as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct LookupRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor; may be the input.
    pub output: Span,
    /// Result for each stored value, from -128 to 127.
    pub table: &'m [u8; 256],
}

impl<'m> Operator<'m> for LookupRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let table = r
            .constant(Layout::Table, 256)?
            .first_chunk()
            .ok_or(Problem::Table)?;
        Ok(LookupRecord {
            input,
            output,
            table,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        if !self.input.same_shape(&self.output) {
            return Err(Problem::Shape);
        }
        self.input.disjoint_or_same(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }
}
