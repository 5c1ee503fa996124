//! Fully connected layer: record 3.

use super::reader::{Channels, Layout, Reader};
use super::{Clamp, Problem, Span};

/// Fully connected layer as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct FullyConnectedRecord<'m> {
    /// Input tensor, dense.
    pub input: Span,
    /// Output tensor, height and width 1.
    pub output: Span,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// int8, output channel, input element.
    pub weights: &'m [u8],
    /// Folded bias and multiplier of each output channel.
    pub channels: Channels<'m>,
}

impl<'m> FullyConnectedRecord<'m> {
    pub(crate) fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let input = r.view()?;
        let output = r.view()?;
        let input_zero_point = r.i8()?;
        let clamp = r.clamp()?;
        let length = input.bytes() as u64 * output.channels as u64;
        let weights = r.constant(Layout::Ohwi, length)?;
        let channels = r.channels(output.channels)?;
        Ok(FullyConnectedRecord {
            input,
            output,
            input_zero_point,
            clamp,
            weights,
            channels,
        })
    }

    /// Steps of the innermost loop, at most.
    pub(crate) fn work(&self) -> u64 {
        self.weights.len() as u64
    }

    pub(crate) fn verify(&self) -> Result<(), Problem> {
        if !self.input.is_dense() || self.output.height != 1 || self.output.width != 1 {
            return Err(Problem::Shape);
        }
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
    use crate::plan::{Clamp, View};

    /// Fully connected layer (N5) over all elements of a dense input in stored order.
    #[derive(Debug, Clone, PartialEq)]
    pub struct FullyConnected {
        /// Input tensor, dense.
        pub input: View,
        /// Output tensor, height and width 1.
        pub output: View,
        /// Zero point of the input.
        pub input_zero_point: i8,
        /// Zero point and clamp of the output.
        pub clamp: Clamp,
        /// `[output channel][input element]`.
        pub weights: Vec<i8>,
        /// `bq` of N5, not folded, one per output channel.
        pub bias: Vec<i32>,
        /// One per output channel.
        pub multipliers: Vec<Multiplier>,
    }

    impl FullyConnected {
        pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
            let inputs = self.input.bytes();
            if inputs == 0 || self.weights.len() != inputs * self.output.channels as usize {
                return Err(BuildError::Shape("weights of a fully connected layer"));
            }
            let sums: Vec<i64> = self
                .weights
                .chunks_exact(inputs)
                .map(|channel| channel.iter().map(|&w| i64::from(w)).sum())
                .collect();
            w.view(&self.input)?;
            w.view(&self.output)?;
            w.i8(self.input_zero_point);
            w.clamp(&self.clamp);
            w.weights(Layout::Ohwi, &self.weights)?;
            w.channels(&self.bias, &self.multipliers, &sums, self.input_zero_point)
        }
    }
}

#[cfg(feature = "build")]
pub use owned::FullyConnected;
