//! The second operand of an elementwise operator, as the compiler gives it.

use alloc::vec::Vec;

use super::BuildError;
use super::writer::Writer;
use crate::format::record::Layout;
use crate::plan::View;

/// The second operand of an elementwise operator. Each of its dimensions is the first
/// operand's, or 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A tensor in the arena.
    Arena(View),
    /// A constant.
    Const {
        /// Elements, channels last.
        values: Vec<i8>,
        /// Height, width, channels.
        shape: [u32; 3],
    },
}

impl Operand {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        match self {
            Operand::Arena(view) => {
                w.view(view)?;
                w.zeros(8);
                Ok(())
            }
            Operand::Const { values, shape } => {
                if values.len() as u64 != shape.iter().map(|&d| u64::from(d)).product::<u64>() {
                    return Err(BuildError::Shape("a constant operand"));
                }
                w.weights(Layout::Hwc, values)?;
                w.dimensions(shape);
                Ok(())
            }
        }
    }
}
