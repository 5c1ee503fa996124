//! Convolution: record 1.

use super::reader::{Channels, Layout, Reader};
use super::{Clamp, Problem, Span, Window};

/// Convolution as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct Conv2dRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor.
    pub output: Span,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input, which padding reads as.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// int8, output channel, kernel row, kernel column, input channel.
    pub weights: &'m [u8],
    /// Folded bias and multiplier of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> Conv2dRecord<'m> {
    pub(crate) fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let window = r.window()?;
        let input_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        let length = window.taps() as u64 * input.channels as u64;
        let length = length
            .checked_mul(output.channels as u64)
            .ok_or(Problem::OutsideConst)?;
        let weights = r.constant(Layout::Ohwi, length)?;
        let channels = r.channels(output.channels)?;
        Ok(Conv2dRecord {
            input,
            output,
            window,
            input_zero_point,
            clamp,
            weights,
            channels,
        })
    }

    /// Steps of the innermost loop, at most.
    pub(crate) fn work(&self) -> u64 {
        (self.output.height * self.output.width) as u64 * self.weights.len() as u64
    }

    pub(crate) fn verify(&self) -> Result<(), Problem> {
        self.window.check(&self.output)?;
        self.clamp.check()?;
        self.channels.check()?;
        self.input.disjoint(&self.output)
    }
}

#[cfg(feature = "build")]
mod owned {
    use alloc::vec::Vec;

    use super::Layout;
    use crate::build::BuildError;
    use crate::numerics::Multiplier;
    use crate::plan::writer::Writer;
    use crate::plan::{Clamp, View, Window};

    /// Convolution (N5); 1-D is height 1, pointwise is a window of 1 x 1.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Conv2d {
        /// Input tensor.
        pub input: View,
        /// Output tensor.
        pub output: View,
        /// Window over the input.
        pub window: Window,
        /// Zero point of the input.
        pub input_zero_point: i8,
        /// Zero point and clamp of the output.
        pub clamp: Clamp,
        /// `[output channel][kernel row][kernel column][input channel]`.
        pub weights: Vec<i8>,
        /// `bq` of N5, not folded, one per output channel.
        pub bias: Vec<i32>,
        /// One per output channel.
        pub multipliers: Vec<Multiplier>,
    }

    impl Conv2d {
        pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
            let patch = self.window.taps() * self.input.channels as usize;
            if patch == 0 || self.weights.len() != patch * self.output.channels as usize {
                return Err(BuildError::Shape("weights of a convolution"));
            }
            let sums: Vec<i64> = self
                .weights
                .chunks_exact(patch)
                .map(|channel| channel.iter().map(|&w| i64::from(w)).sum())
                .collect();
            w.view(&self.input)?;
            w.view(&self.output)?;
            w.window(&self.window)?;
            w.i8(self.input_zero_point);
            w.clamp(&self.clamp);
            w.weights(Layout::Ohwi, &self.weights)?;
            w.channels(&self.bias, &self.multipliers, &sums, self.input_zero_point)
        }
    }
}

#[cfg(feature = "build")]
pub use owned::Conv2d;
