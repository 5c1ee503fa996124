//! Convolution: record 1.

use super::layer::LayerRecord;
use super::reader::{Layout, Reader};
use super::{Operator, Problem, Span, Window};

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

#[cfg(feature = "build")]
mod owned {
    use super::Layout;
    use crate::build::BuildError;
    use crate::plan::writer::Writer;
    use crate::plan::{Layer, Window};

    /// Convolution (N5); 1-D is height 1, pointwise is a window of 1 x 1.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Conv2d {
        /// Window over the input.
        pub window: Window,
        /// Weights `[output channel][kernel row][kernel column][input channel]`.
        pub layer: Layer,
    }

    impl Conv2d {
        pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
            let patch = self.window.taps() * self.layer.input.channels as usize;
            let sums = self
                .layer
                .sums(patch)
                .ok_or(BuildError::Shape("weights of a convolution"))?;
            self.layer
                .encode(Some(&self.window), Layout::Ohwi, &sums, w)
        }
    }
}

#[cfg(feature = "build")]
pub use owned::Conv2d;
