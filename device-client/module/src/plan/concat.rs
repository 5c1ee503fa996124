//! Concatenation: record 12.

use super::reader::Reader;
use super::{Clamp, Operator, Problem, Span};
use crate::numerics::Multiplier;

/// An axis of a channels-last tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Axis {
    /// Rows.
    Height = 0,
    /// Columns.
    Width = 1,
    /// Channels.
    Channels = 2,
}

impl Axis {
    /// How long `span` is along the axis.
    pub fn length(self, span: &Span) -> usize {
        match self {
            Axis::Height => span.height,
            Axis::Width => span.width,
            Axis::Channels => span.channels,
        }
    }
}

/// Concatenation as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct ConcatRecord<'m> {
    /// Output tensor.
    pub output: Span,
    /// Axis along which the inputs follow each other.
    pub axis: Axis,
    /// Zero point and clamp of the requantized inputs.
    pub clamp: Clamp,
    count: u8,
    inputs: Reader<'m>,
}

/// One input of a concatenation as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct ConcatSource {
    /// Input tensor.
    pub input: Span,
    /// Zero point and multiplier to the output's scale, or `None` to copy.
    pub requantize: Option<(i8, Multiplier)>,
}

impl ConcatSource {
    fn decode(r: &mut Reader<'_>) -> Result<Self, Problem> {
        let input = r.view()?;
        let requantize = match r.u16()? {
            0 => None,
            1 => {
                let zero_point = r.i8()?;
                r.zeros(1)?;
                return Ok(ConcatSource {
                    input,
                    requantize: Some((zero_point, r.multiplier()?)),
                });
            }
            _ => return Err(Problem::Reserved),
        };
        r.zeros(2)?;
        Ok(ConcatSource { input, requantize })
    }
}

impl<'m> ConcatRecord<'m> {
    /// The inputs in order.
    pub fn inputs(&self) -> impl Iterator<Item = ConcatSource> + 'm {
        let mut reader = self.inputs;
        (0..self.count).map_while(move |_| ConcatSource::decode(&mut reader).ok())
    }
}

impl<'m> Operator<'m> for ConcatRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let output = r.view()?;
        let axis = match r.u8()? {
            0 => Axis::Height,
            1 => Axis::Width,
            2 => Axis::Channels,
            _ => return Err(Problem::Reserved),
        };
        let count = r.u8()?;
        r.zeros(2)?;
        let clamp = r.clamp()?;
        r.zeros(1)?;
        let inputs = *r;
        for _ in 0..count {
            ConcatSource::decode(r)?;
        }
        Ok(ConcatRecord {
            output,
            axis,
            clamp,
            count,
            inputs,
        })
    }

    fn work(&self) -> u64 {
        self.output.bytes() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        self.clamp.check()?;
        let mut length = 0;
        for ConcatSource { input, .. } in self.inputs() {
            let same =
                |axis: Axis| axis == self.axis || axis.length(&input) == axis.length(&self.output);
            if !(same(Axis::Height) && same(Axis::Width) && same(Axis::Channels)) {
                return Err(Problem::Shape);
            }
            length += self.axis.length(&input);
            input.disjoint(&self.output)?;
        }
        if length == self.axis.length(&self.output) {
            Ok(())
        } else {
            Err(Problem::Shape)
        }
    }

    fn output(&self) -> Span {
        self.output
    }
}
