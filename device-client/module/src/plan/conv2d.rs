//! Convolution: record 1.

use super::layer::LayerRecord;
use super::reader::Reader;
use super::{Operator, Problem, Span, Window};
use crate::format::record::Layout;

/// Convolution as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct Conv2dRecord<'m> {
    /// Window over the input.
    pub window: Window,
    /// Weights: output channel, kernel row, kernel column, input channel.
    pub layer: LayerRecord<'m>,
}

impl<'m> Operator<'m> for Conv2dRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let (input, output) = (r.view()?, r.view()?);
        let window = r.window()?;
        let length = window.taps() as u64 * input.channels as u64;
        let length = length.checked_mul(output.channels as u64);
        Ok(Conv2dRecord {
            window,
            layer: LayerRecord::decode(r, (input, output), Layout::Ohwi, length)?,
        })
    }

    fn work(&self) -> u64 {
        let output = &self.layer.output;
        (output.height * output.width) as u64 * self.layer.weights.len() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        self.window.check(&self.layer.output)?;
        self.layer.verify()
    }

    fn output(&self) -> Span {
        self.layer.output
    }
}
