//! GlobalMaxPool: the largest value of a channel.

use tinsmith_build_job::Problem;

use super::max_pool::MaxPool;
use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("GlobalMaxPool", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.global_pool(node, |window| MaxPool { window })?;
    cx.bind(node, y)
}
