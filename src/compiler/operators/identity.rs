//! Identity, and Dropout at inference.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[
    known("Dropout", 1..=3, import),
    known("Identity", 1..=1, import),
];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    cx.alias(node, x);
    Ok(())
}
