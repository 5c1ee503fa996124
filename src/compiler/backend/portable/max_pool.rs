//! Maximum over a window.

use tinsmith_module::build;

use super::Lowered;
use crate::backend::context::window;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::MaxPool;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<MaxPool>(),
    tenths: 159,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(op) = node.op.get::<MaxPool>() else {
        return Ok(Vec::new());
    };
    let output = cx.operand(node, &node.outputs, 0)?;
    let record = build::MaxPool {
        input: cx.spatial(cx.operand(node, &node.inputs, 0)?)?,
        output: cx.spatial(output)?,
        window: window(&op.window)?,
        low: -128,
        high: 127,
    };
    Ok(vec![Piece::of(output, record)])
}
