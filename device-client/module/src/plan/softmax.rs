//! Softmax: record 8.

use super::reader::Reader;
use super::{Operator, Problem, Span};
use crate::format::record::Layout;

/// Softmax over the channels of each element as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor; may be the input.
    pub output: Span,
    /// `T` of N11.
    pub table: &'m [[u8; 4]; 256],
}

impl<'m> SoftmaxRecord<'m> {
    /// `T[d]`.
    #[inline]
    pub fn exp(&self, d: u8) -> u32 {
        u32::from_le_bytes(self.table[usize::from(d)])
    }
}

impl<'m> Operator<'m> for SoftmaxRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let (table, _) = r.constant(Layout::Table, 1024)?.as_chunks();
        let table = table.first_chunk().ok_or(Problem::Table)?;
        Ok(SoftmaxRecord {
            input,
            output,
            table,
        })
    }

    fn work(&self) -> u64 {
        3 * self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        if !self.input.same_shape(&self.output) {
            return Err(Problem::Shape);
        }
        // The sum is not zero, and neither it nor a shifted term leaves 32 bits.
        let highest = u64::from(self.exp(0));
        let sum = highest * self.input.channels as u64;
        if highest == 0
            || 256 * highest + (sum >> 1) > u64::from(u32::MAX)
            || sum > u64::from(u32::MAX)
            || !(0..=255).all(|d| u64::from(self.exp(d)) <= highest)
        {
            return Err(Problem::Table);
        }
        self.input.disjoint_or_same(&self.output)
    }

    fn output(&self) -> Span {
        self.output
    }

    const SCORES: bool = true;

    fn scores(&self) -> Option<Span> {
        Some(self.input)
    }
}
