//! MatMul with a constant right side: a fully connected layer without bias.

use super::{Importer, NodeView, gemm};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let (weights, shape) = cx.floats(node, 1, "right side")?;
    let [inputs, outputs] = *shape.as_slice() else {
        let what = format!("a right side of shape {shape:?}; use a constant matrix");
        return Err(Problem::Unsupported { what });
    };
    let packed = gemm::transposed(&weights, inputs, outputs);
    let y = cx.fully_connected(x, packed, vec![0.0; outputs], inputs, outputs)?;
    cx.bind(node, y)
}
