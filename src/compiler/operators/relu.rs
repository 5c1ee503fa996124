//! Relu.

use tinsmith_build_job::Problem;

use super::clip::Limit;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::Clamp;

pub(super) const ONNX: &[OnnxOperator] = &[known("Relu", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let y = cx.emit(Limit { clamp: Clamp::RELU }, vec![x])?;
    cx.bind(node, y)
}
