//! Gemm with constant weights: a fully connected layer.

use super::{Importer, NodeView};
use crate::ir::{Clamp, Op};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    if node.int("transA", 0) != 0 {
        let what = "transA is not supported; transpose before export".into();
        return Err(Problem::Unsupported { what });
    }
    let (weights, shape) = cx.floats(node, 1, "weights")?;
    let [rows, columns] = *shape.as_slice() else {
        return Err(Problem::Shapes {
            detail: format!("weights {shape:?} are not a matrix"),
        });
    };
    let alpha = node.float("alpha", 1.0);
    let (outputs, inputs, packed) = if node.int("transB", 0) == 1 {
        (rows, columns, weights)
    } else {
        (columns, rows, transposed(&weights, rows, columns))
    };
    let packed = packed.into_iter().map(|w| w * alpha).collect();
    let bias = if node.input(2).is_empty() {
        vec![0.0; outputs]
    } else {
        let beta = node.float("beta", 1.0);
        let (bias, shape) = cx.floats(node, 2, "bias")?;
        match bias.len() {
            1 => vec![bias[0] * beta; outputs],
            n if n == outputs && shape.last() == Some(&outputs) => {
                bias.iter().map(|b| b * beta).collect()
            }
            _ => {
                let detail = format!("bias {shape:?} for {outputs} outputs");
                return Err(Problem::Shapes { detail });
            }
        }
    };
    let y = cx.fully_connected(x, packed, bias, inputs, outputs)?;
    cx.bind(node, y)
}

/// A matrix with rows and columns exchanged.
pub(super) fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
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
        x: crate::ir::TensorId,
        weights: Vec<f32>,
        bias: Vec<f32>,
        inputs: usize,
        outputs: usize,
    ) -> Result<crate::ir::TensorId, Problem> {
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
            let flat = self.reshape(x, vec![1, inputs]);
            self.emit(
                Op::FullyConnected { clamp },
                vec![flat, w, b],
                vec![1, outputs],
            )
        } else {
            let w = self.constant("weights", vec![outputs, 1, 1, inputs], weights);
            let flat = self.reshape(x, vec![1, 1, rows, inputs]);
            let window = crate::ir::Window::plain([1, 1]);
            self.emit(
                Op::Conv { window, clamp },
                vec![flat, w, b],
                vec![1, 1, rows, outputs],
            )
        };
        Ok(self.reshape(y, output))
    }
}
