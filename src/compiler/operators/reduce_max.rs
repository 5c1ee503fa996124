//! ReduceMax.

use tinsmith_build_job::Problem;

use super::max_pool::MaxPool;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("ReduceMax", 1..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.reduce(node, 18, |window| MaxPool { window })?;
    cx.bind(node, y)
}
