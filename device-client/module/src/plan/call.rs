//! Code of the section CODE: record 0x40.

use super::reader::Reader;
use super::{Operator, Problem, Span};
use crate::format::record::Layout;

/// A call as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct CallRecord<'m> {
    /// Output tensor; may be an input.
    pub output: Span,
    /// The code, with whatever lies behind it.
    pub code: &'m [u8],
    work: u32,
    inputs: u8,
    constants: u8,
    operands: Reader<'m>,
}

impl<'m> CallRecord<'m> {
    /// The tensors that it reads, in order.
    pub fn inputs(&self) -> impl Iterator<Item = Span> + 'm {
        let mut reader = self.operands;
        (0..self.inputs).map_while(move |_| reader.view().ok())
    }

    /// The constants that it reads, in order.
    pub fn constants(&self) -> impl Iterator<Item = &'m [u8]> + 'm {
        let mut reader = self.operands;
        let skipped = (0..self.inputs).try_for_each(|_| reader.view().map(drop));
        let count = skipped.map_or(0, |()| self.constants);
        (0..count).map_while(move |_| constant(&mut reader).ok())
    }
}

fn constant<'m>(r: &mut Reader<'m>) -> Result<&'m [u8], Problem> {
    let length = r.u32()?;
    r.constant(Layout::Table, length.into())
}

impl<'m> Operator<'m> for CallRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let output = r.view()?;
        let code = r.code()?;
        let work = r.u32()?;
        let (inputs, constants) = (r.u8()?, r.u8()?);
        r.zeros(2)?;
        let operands = *r;
        for _ in 0..inputs {
            r.view()?;
        }
        for _ in 0..constants {
            constant(r)?;
        }
        Ok(CallRecord {
            output,
            code,
            work,
            inputs,
            constants,
            operands,
        })
    }

    fn work(&self) -> u64 {
        self.work.into()
    }

    fn verify(&self) -> Result<(), Problem> {
        self.inputs()
            .try_for_each(|input| input.disjoint_or_same(&self.output))
    }

    fn output(&self) -> Span {
        self.output
    }
}
