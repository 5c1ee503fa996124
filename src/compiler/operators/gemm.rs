//! Gemm with constant weights: a fully connected layer.

use tinsmith_build_job::Problem;

use super::fully_connected::turned;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("Gemm", 2..=3, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
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
        (columns, rows, turned(&weights, rows, columns))
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
