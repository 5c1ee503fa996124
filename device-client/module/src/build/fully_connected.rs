//! Fully connected layer, as the compiler gives it.

use super::writer::Writer;
use super::{BuildError, Layer};
use crate::format::record::Layout;

/// Fully connected layer (N5) over all elements of a dense input in stored order.
#[derive(Debug, Clone, PartialEq)]
pub struct FullyConnected {
    /// Weights `[output channel][input element]`; the output's height and width are 1.
    pub layer: Layer,
}

impl FullyConnected {
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
        let sums = self
            .layer
            .sums(self.layer.input.bytes())
            .ok_or(BuildError::Shape("weights of a fully connected layer"))?;
        self.layer.encode(None, Layout::Ohwi, &sums, w)
    }
}
