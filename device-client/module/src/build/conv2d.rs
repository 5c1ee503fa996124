//! Convolution, as the compiler gives it.

use super::writer::Writer;
use super::{BuildError, Layer};
use crate::format::record::Layout;
use crate::plan::Window;

/// Convolution (N5); 1-D is height 1, pointwise is a window of 1 x 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    /// Window over the input.
    pub window: Window,
    /// Weights `[output channel][kernel row][kernel column][input channel]`.
    pub layer: Layer,
}

impl Conv2d {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        let patch = self.window.taps() * self.layer.input.channels as usize;
        let sums = self
            .layer
            .sums(patch)
            .ok_or(BuildError::Shape("weights of a convolution"))?;
        self.layer
            .encode(Some(&self.window), Layout::Ohwi, &sums, w)
    }
}
