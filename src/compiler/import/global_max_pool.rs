//! GlobalMaxPool: the largest value of a channel.

use super::{Importer, NodeView};
use crate::compiler::error::Problem;
use crate::compiler::ir::Op;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let y = cx.global_pool(node, |window| Op::MaxPool { window })?;
    cx.bind(node, y)
}
