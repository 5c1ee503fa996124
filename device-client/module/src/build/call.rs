//! Code that does the work of a record, as the compiler gives it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::writer::Writer;
use super::{BuildError, Op};
use crate::format::record::Layout;
use crate::plan::View;

/// Position-independent code that does the work of one record, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The code; equal code is stored once.
    pub code: Vec<u8>,
    /// Instruction sets that it needs, bits of [`crate::format::isa`].
    pub instruction_sets: u32,
    /// Tensors that it reads.
    pub inputs: Vec<View>,
    /// Constants that it reads.
    pub constants: Vec<Vec<u8>>,
    /// Output tensor; may be an input.
    pub output: View,
    /// Steps of its innermost loop for the whole output, at most.
    pub work: u32,
    /// The record: what the code has to compute.
    pub stands_for: Box<Op>,
}

impl Call {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        let few = |count: usize| {
            u8::try_from(count).map_err(|_| BuildError::TooLarge("the operands of a call"))
        };
        w.view(&self.output)?;
        w.code(&self.code)?;
        w.u32(self.work);
        w.u8(few(self.inputs.len())?);
        w.u8(few(self.constants.len())?);
        w.zeros(2);
        for input in &self.inputs {
            w.view(input)?;
        }
        for constant in &self.constants {
            let length = u32::try_from(constant.len());
            w.u32(length.map_err(|_| BuildError::TooLarge("a constant"))?);
            w.constant(Layout::Table, constant)?;
        }
        Ok(())
    }
}
