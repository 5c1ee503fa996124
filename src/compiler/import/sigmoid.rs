//! Sigmoid.

use super::{Importer, NodeView};
use crate::compiler::error::Problem;
use crate::compiler::ir::{Function, Op};

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let shape = cx.shape(x).to_vec();
    let y = cx.emit(Op::Map(Function::Sigmoid), vec![x], shape);
    cx.bind(node, y)
}
