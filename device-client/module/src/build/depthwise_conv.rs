//! Depthwise convolution, as the compiler gives it.

use alloc::vec;

use super::writer::Writer;
use super::{BuildError, Layer};
use crate::format::record::Layout;
use crate::plan::Window;

/// Depthwise convolution (N5): output channel `c` reads input channel
/// `c / (output channels / input channels)`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseConv {
    /// Window over the input.
    pub window: Window,
    /// Weights `[kernel row][kernel column][output channel]`; the output's channels are a
    /// multiple of the input's.
    pub layer: Layer,
}

impl DepthwiseConv {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        let channels = self.layer.output.channels as usize;
        if channels == 0 || self.layer.weights.len() != self.window.taps() * channels {
            return Err(BuildError::Shape("weights of a depthwise convolution"));
        }
        let mut sums = vec![0i64; channels];
        for tap in self.layer.weights.chunks_exact(channels) {
            for (sum, &w) in sums.iter_mut().zip(tap) {
                *sum += i64::from(w);
            }
        }
        self.layer.encode(Some(&self.window), Layout::Hwo, &sums, w)
    }
}
