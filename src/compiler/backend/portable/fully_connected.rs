//! Fully connected layer.

use tinsmith_module::build;

use super::{Lowered, Portable};
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::FullyConnected;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<FullyConnected>(),
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(op) = node.op.get::<FullyConnected>() else {
        return Ok(Vec::new());
    };
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let layer = cx.layer(
        node,
        &Portable,
        cx.flat(input)?,
        cx.view(output)?,
        &op.clamp,
    )?;
    Ok(vec![Piece::of(output, build::FullyConnected { layer })])
}
