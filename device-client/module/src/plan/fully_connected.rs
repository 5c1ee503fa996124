//! Fully connected layer: record 3.

use super::layer::LayerRecord;
use super::reader::{Layout, Reader};
use super::{Operator, Problem, Span};

/// Fully connected layer as the device reads it.
#[derive(Debug, Clone, Copy)]
pub struct FullyConnectedRecord<'m> {
    /// Weights: output channel, input element. The input is dense, the output's height and width
    /// are 1.
    pub layer: LayerRecord<'m>,
}

impl<'m> Operator<'m> for FullyConnectedRecord<'m> {
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem> {
        let (input, output) = (r.view()?, r.view()?);
        let length = input.bytes() as u64 * output.channels as u64;
        Ok(FullyConnectedRecord {
            layer: LayerRecord::decode(r, (input, output), Layout::Ohwi, Some(length))?,
        })
    }

    fn work(&self) -> u64 {
        self.layer.weights.len() as u64
    }

    fn verify(&self) -> Result<(), Problem> {
        let (input, output) = (&self.layer.input, &self.layer.output);
        if !input.is_dense() || output.height != 1 || output.width != 1 {
            return Err(Problem::Shape);
        }
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
    use crate::plan::Layer;
    use crate::plan::writer::Writer;

    /// Fully connected layer (N5) over all elements of a dense input in stored order.
    #[derive(Debug, Clone, PartialEq)]
    pub struct FullyConnected {
        /// Weights `[output channel][input element]`; the output's height and width are 1.
        pub layer: Layer,
    }

    impl FullyConnected {
        pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), BuildError> {
            let sums = self
                .layer
                .sums(self.layer.input.bytes())
                .ok_or(BuildError::Shape("weights of a fully connected layer"))?;
            self.layer.encode(None, Layout::Ohwi, &sums, w)
        }
    }
}

#[cfg(feature = "build")]
pub use owned::FullyConnected;
