//! What convolution, depthwise convolution and fully connected layer have in common: tensors,
//! weights, bias and requantization.

use super::reader::{Channels, Reader};
use super::{Clamp, Problem, Span};
use crate::format::record::Layout;

/// The common part as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct LayerRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor.
    pub output: Span,
    /// Zero point of the input, which padding reads as.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// int8, in the order that the operator says.
    pub weights: &'m [u8],
    /// Folded bias and multiplier of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> LayerRecord<'m> {
    /// Reads the rest of a record behind its views and its window; `length` is that of the weights,
    /// none if it leaves 64 bits.
    pub(super) fn decode(
        r: &mut Reader<'m>,
        (input, output): (Span, Span),
        layout: Layout,
        length: Option<u64>,
    ) -> Result<Self, Problem> {
        Ok(LayerRecord {
            input,
            output,
            input_zero_point: r.i8()?,
            clamp: r.clamp()?,
            weights: r.constant(layout, length.ok_or(Problem::OutsideConst)?)?,
            channels: r.channels(output.channels)?,
        })
    }

    pub(super) fn verify(&self) -> Result<(), Problem> {
        self.clamp.check()?;
        self.channels.check()?;
        self.input.disjoint(&self.output)
    }
}
