//! Fully connected layer: record 3.

use super::layer::LayerRecord;
use super::reader::Reader;
use super::{Operator, Problem, Span};
use crate::format::record::Layout;

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
