//! GlobalAveragePool: the mean over all positions of a channel.

use tinsmith_build_job::Problem;

use super::average_pool::AveragePool;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("GlobalAveragePool", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.global_pool(node, AveragePool::of_valid)?;
    cx.bind(node, y)
}
