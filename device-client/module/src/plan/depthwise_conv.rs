//! Depthwise convolution: record 2.

use super::reader::{Channels, Layout, Reader};
use super::{Clamp, Problem, Span, Window};

/// Depthwise convolution as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseConvRecord<'m> {
    /// Input tensor.
    pub input: Span,
    /// Output tensor; its channels are a multiple of the input's.
    pub output: Span,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input, which padding reads as.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// int8, kernel row, kernel column, output channel.
    pub weights: &'m [u8],
    /// Folded bias and multiplier of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> DepthwiseConvRecord<'m> {
    pub(crate) fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let window = r.window()?;
        let input_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        let weights = r.constant(Layout::Hwo, window.taps() as u64 * output.channels as u64)?;
        let channels = r.channels(output.channels)?;
        Ok(DepthwiseConvRecord {
            input,
            output,
            window,
            input_zero_point,
            clamp,
            weights,
            channels,
        })
    }

    /// Output channels per input channel.
    pub fn multiplier(&self) -> usize {
        self.output.channels / self.input.channels
    }

    /// Steps of the innermost loop, at most.
    pub(crate) fn work(&self) -> u64 {
        self.output.bytes() as u64 * self.window.taps() as u64
    }

    pub(crate) fn verify(&self) -> Result<(), Problem> {
        if !self.output.channels.is_multiple_of(self.input.channels) {
            return Err(Problem::Shape);
        }
        self.window.check(&self.output)?;
        self.clamp.check()?;
        self.channels.check()?;
        self.input.disjoint(&self.output)
    }
}

#[cfg(feature = "build")]
mod owned {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::Layout;
    use crate::build::BuildError;
    use crate::numerics::Multiplier;
    use crate::plan::writer::Writer;
    use crate::plan::{Clamp, View, Window};

    /// Depthwise convolution (N5): output channel `c` reads input channel
    /// `c / (output channels / input channels)`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct DepthwiseConv {
        /// Input tensor.
        pub input: View,
        /// Output tensor; its channels are a multiple of the input's.
        pub output: View,
        /// Window over the input.
        pub window: Window,
        /// Zero point of the input.
        pub input_zero_point: i8,
        /// Zero point and clamp of the output.
        pub clamp: Clamp,
        /// `[kernel row][kernel column][output channel]`.
        pub weights: Vec<i8>,
        /// `bq` of N5, not folded, one per output channel.
        pub bias: Vec<i32>,
        /// One per output channel.
        pub multipliers: Vec<Multiplier>,
    }

    impl DepthwiseConv {
        pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
            let channels = self.output.channels as usize;
            if channels == 0 || self.weights.len() != self.window.taps() * channels {
                return Err(BuildError::Shape("weights of a depthwise convolution"));
            }
            let mut sums = vec![0i64; channels];
            for tap in self.weights.chunks_exact(channels) {
                for (sum, &w) in sums.iter_mut().zip(tap) {
                    *sum += i64::from(w);
                }
            }
            w.view(&self.input)?;
            w.view(&self.output)?;
            w.window(&self.window)?;
            w.i8(self.input_zero_point);
            w.clamp(&self.clamp);
            w.weights(Layout::Hwo, &self.weights)?;
            w.channels(&self.bias, &self.multipliers, &sums, self.input_zero_point)
        }
    }
}

#[cfg(feature = "build")]
pub use owned::DepthwiseConv;
