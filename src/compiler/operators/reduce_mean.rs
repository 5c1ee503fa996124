//! ReduceMean.

use tinsmith_build_job::Problem;

use super::average_pool::AveragePool;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("ReduceMean", 1..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.reduce(node, 18, AveragePool::of_valid)?;
    cx.bind(node, y)
}
