//! Fully connected layer: what Gemm and MatMul become.

use tinsmith_build_job::Problem;

use super::conv::Conv;
use super::elementwise;
use super::packed::Packed;
use crate::import::Importer;
use crate::ir::{Clamp, Filters, Op, Operands, Operator, Prepared, TensorId, Window};

/// Inputs x `[batch, in]`, weights `[out, in]`, bias `[out]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FullyConnected {
    /// Fused limits.
    pub clamp: Clamp,
}

impl Operator for FullyConnected {
    fn name(&self) -> &'static str {
        "fully_connected"
    }

    fn prepare(&self, x: &Operands<'_>) -> Prepared {
        let outputs = x.shape(1).first().copied().unwrap_or(0);
        Box::new(Packed::new(x.values(1), x.values(2), outputs))
    }

    fn evaluate(&self, prepared: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        if let (Some(packed), Some(pixel)) = (prepared.downcast_ref::<Packed>(), out.first_mut()) {
            packed.pixel(&[x.values(0)], pixel);
        }
        elementwise::limit(self.clamp, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        match *inputs {
            [&[batch, columns], &[outputs, inner], ..] if columns == inner => {
                Ok(Some(vec![vec![batch, outputs]]))
            }
            _ => Err(Problem::Shapes {
                detail: format!("a fully connected layer over {inputs:?}"),
            }),
        }
    }

    fn macs(&self, inputs: &[&[usize]], outputs: &[&[usize]]) -> u64 {
        let per_output = inputs.get(1).and_then(|w| w.get(1)).copied().unwrap_or(0);
        let elements: usize = outputs.first().map_or(0, |y| y.iter().product());
        (elements * per_output) as u64
    }

    fn clamp(&self) -> Option<Clamp> {
        Some(self.clamp)
    }

    fn with_clamp(&self, clamp: Clamp) -> Option<Op> {
        Some(Self { clamp }.into())
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::OutputFirst)
    }
}

/// A matrix with rows and columns exchanged.
pub(super) fn turned(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; matrix.len()];
    for row in 0..rows {
        for column in 0..columns {
            out[column * rows + row] = matrix[row * columns + column];
        }
    }
    out
}

impl Importer<'_> {
    /// `x * weights + bias` along the last axis; with several rows it is a pointwise convolution.
    pub(super) fn fully_connected(
        &mut self,
        x: TensorId,
        weights: Vec<f32>,
        bias: Vec<f32>,
        inputs: usize,
        outputs: usize,
    ) -> Result<TensorId, Problem> {
        let shape = self.shape(x).to_vec();
        if shape.last() != Some(&inputs) || inputs == 0 || outputs == 0 {
            let detail = format!("input {shape:?} for weights of {inputs} by {outputs}");
            return Err(Problem::Shapes { detail });
        }
        let rows: usize = shape[..shape.len() - 1].iter().product();
        let mut output = shape.clone();
        output[shape.len() - 1] = outputs;
        let b = self.constant("bias", vec![outputs], bias);
        let clamp = Clamp::NONE;
        let y = if rows == 1 {
            let w = self.constant("weights", vec![outputs, inputs], weights);
            let flat = self.reshape(x, vec![1, inputs])?;
            self.emit(FullyConnected { clamp }, vec![flat, w, b])?
        } else {
            let w = self.constant("weights", vec![outputs, 1, 1, inputs], weights);
            let flat = self.reshape(x, vec![1, 1, rows, inputs])?;
            let window = Window::plain([1, 1]);
            self.emit(Conv { window, clamp }, vec![flat, w, b])?
        };
        self.reshape(y, output)
    }
}
