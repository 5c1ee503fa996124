//! Dense convolution.

use tinsmith_module::build;

use super::{Lowered, Portable};
use crate::backend::context::window;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::Conv;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Conv>(),
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(op) = node.op.get::<Conv>() else {
        return Ok(Vec::new());
    };
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let layer = cx.layer(
        node,
        &Portable,
        cx.spatial(input)?,
        cx.spatial(output)?,
        &op.clamp,
    )?;
    let window = window(&op.window)?;
    Ok(vec![Piece::of(output, build::Conv2d { window, layer })])
}
