//! MatMul with a constant right side: a fully connected layer without bias.

use tinsmith_build_job::Problem;

use super::fully_connected::turned;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("MatMul", 2..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let (weights, shape) = cx.floats(node, 1, "right side")?;
    let [inputs, outputs] = *shape.as_slice() else {
        let what = format!("a right side of shape {shape:?}; use a constant matrix");
        return Err(Problem::Unsupported { what });
    };
    let packed = turned(&weights, inputs, outputs);
    let y = cx.fully_connected(x, packed, vec![0.0; outputs], inputs, outputs)?;
    cx.bind(node, y)
}
