//! What convolution, depthwise convolution and fully connected layer have in common, as the compiler gives it.

use alloc::vec::Vec;

use super::BuildError;
use super::writer::Writer;
use crate::format::record::Layout;
use crate::numerics::Multiplier;
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
    pub(super) fn encode(
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
    pub(super) fn sums(&self, each: usize) -> Option<Vec<i64>> {
        if each == 0 || self.weights.len() != each * self.output.channels as usize {
            return None;
        }
        let sum = |channel: &[i8]| channel.iter().map(|&w| i64::from(w)).sum();
        Some(self.weights.chunks_exact(each).map(sum).collect())
    }
}
