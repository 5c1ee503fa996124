//! ReduceMax over the spatial axes.

use super::{Importer, NodeView};
use crate::ir::Op;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.reduce(node, 18, |window| Op::MaxPool { window })?;
    cx.bind(node, y)
}
