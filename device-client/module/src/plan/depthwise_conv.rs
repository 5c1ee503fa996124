//! Depthwise convolution: record 2.

use super::layer::LayerRecord;
use super::reader::Reader;
use super::{Operator, Problem, Span, Window};
use crate::format::record::Layout;

/// Depthwise convolution as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseConvRecord<'m> {
    /// Window over the input.
    pub window: Window,
    /// Weights: kernel row, kernel column, output channel. The output's channels are a multiple of
    /// the input's.
    pub layer: LayerRecord<'m>,
}

impl DepthwiseConvRecord<'_> {
    /// Output channels per input channel.
    pub fn multiplier(&self) -> usize {
        self.layer.output.channels / self.layer.input.channels
    }
}

impl<'m> Operator<'m> for DepthwiseConvRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let (input, output) = (r.view()?, r.view()?);
        let window = r.window()?;
        let length = window.taps() as u64 * output.channels as u64;
        Ok(DepthwiseConvRecord {
            window,
            layer: LayerRecord::decode(r, (input, output), Layout::Hwo, Some(length))?,
        })
    }

    fn work(&self) -> u64 {
        self.layer.output.bytes() as u64 * self.window.taps() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        let (input, output) = (&self.layer.input, &self.layer.output);
        if !output.channels.is_multiple_of(input.channels) {
            return Err(Problem::Shape);
        }
        self.window.check(output)?;
        self.layer.verify()
    }

    fn output(&self) -> Span {
        self.layer.output
    }
}
