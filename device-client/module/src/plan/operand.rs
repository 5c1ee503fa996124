//! The second operand of an elementwise operator.

use super::reader::Reader;
use super::{Problem, Span};
use crate::format::record::Layout;

/// The second operand of an elementwise operator as the device reads it.
#[derive(Debug, Clone, Copy)]
pub enum OperandRecord<'m> {
    /// A tensor in the arena.
    Arena(Span),
    /// A constant; the span begins at 0.
    Const(&'m [u8], Span),
}

impl<'m> OperandRecord<'m> {
    #[inline(never)]
    pub(crate) fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        if !r.is_const() {
            let view = r.view()?;
            r.zeros(8)?;
            return Ok(OperandRecord::Arena(view));
        }
        // The shape follows the reference, but gives its length.
        let mut shape = *r;
        shape.skip(8)?;
        let mut low = [0; 3];
        for dimension in &mut low {
            *dimension = usize::from(shape.u16()?);
        }
        // Version 2: the upper halves of the dimensions.
        let mut dimensions = low;
        for dimension in &mut dimensions {
            *dimension |= usize::from(shape.u16()?) << 16;
        }
        if r.version() < 2 && dimensions != low {
            return Err(Problem::Reserved);
        }
        let [height, width, channels] = dimensions;
        if dimensions.contains(&0) {
            return Err(Problem::Zero);
        }
        let length = (height as u64 * width as u64)
            .checked_mul(channels as u64)
            .ok_or(Problem::OutsideConst)?;
        let bytes = r.constant(Layout::Hwc, length)?;
        r.skip(12)?;
        Ok(OperandRecord::Const(
            bytes,
            Span::dense(0, height, width, channels),
        ))
    }

    /// Shape and place.
    pub fn span(&self) -> Span {
        match *self {
            OperandRecord::Arena(span) | OperandRecord::Const(_, span) => span,
        }
    }

    /// Each dimension is `output`'s or 1, and in the arena the operand is either the output
    /// itself or apart from it.
    pub(crate) fn verify(&self, output: &Span) -> Result<(), Problem> {
        let span = self.span();
        let fits = |own: usize, out: usize| own == out || own == 1;
        if !(fits(span.height, output.height)
            && fits(span.width, output.width)
            && fits(span.channels, output.channels))
        {
            return Err(Problem::Shape);
        }
        match self {
            OperandRecord::Arena(span) => span.disjoint_or_same(output),
            OperandRecord::Const(..) => Ok(()),
        }
    }
}
