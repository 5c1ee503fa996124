//! What convolution, depthwise convolution and fully connected layer have in common: tensors,
//! weights, bias and requantization.

use super::reader::{Channels, Layout, Reader};
use super::{Clamp, Problem, Span};

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

#[cfg(feature = "build")]
mod owned {
    use alloc::vec::Vec;

    use super::Layout;
    use crate::build::BuildError;
    use crate::numerics::Multiplier;
    use crate::plan::writer::Writer;
    use crate::plan::{Clamp, View, Window};

    /// Tensors, weights, bias and requantization of a convolution or fully connected layer.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Layer {
        /// Input tensor.
        pub input: View,
        /// Output tensor.
        pub output: View,
        /// Zero point of the input.
        pub input_zero_point: i8,
        /// Zero point and clamp of the output.
        pub clamp: Clamp,
        /// In the order that the operator says.
        pub weights: Vec<i8>,
        /// `bq` of N5, not folded, one per output channel.
        pub bias: Vec<i32>,
        /// One per output channel.
        pub multipliers: Vec<Multiplier>,
    }

    impl Layer {
        /// Writes a whole record; `sums` are those of each output channel's weights.
        pub(in crate::plan) fn encode(
            &self,
            window: Option<&Window>,
            layout: Layout,
            sums: &[i64],
            w: &mut Writer<'_>,
        ) -> Result<(), BuildError> {
            w.view(&self.input)?;
            w.view(&self.output)?;
            if let Some(window) = window {
                w.window(window)?;
            }
            w.i8(self.input_zero_point);
            w.clamp(&self.clamp);
            w.weights(layout, &self.weights)?;
            w.channels(&self.bias, &self.multipliers, sums, self.input_zero_point)
        }

        /// The sums of weights that lie channel by channel, `each` of them for a channel; none if
        /// there are not as many as the output's channels need.
        pub(in crate::plan) fn sums(&self, each: usize) -> Option<Vec<i64>> {
            if each == 0 || self.weights.len() != each * self.output.channels as usize {
                return None;
            }
            let sum = |channel: &[i8]| channel.iter().map(|&w| i64::from(w)).sum();
            Some(self.weights.chunks_exact(each).map(sum).collect())
        }
    }
}

#[cfg(feature = "build")]
pub use owned::Layer;
