//! Dense convolution.

use tinsmith_module::build;

use super::{Lowered, layer};
use crate::backend::context::window;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::Conv;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Conv>(),
    tenths: 44,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(op) = node.op.get::<Conv>() else {
        return Ok(Vec::new());
    };
    layer::records(cx, node, [Context::spatial; 2], |layer| {
        let window = window(&op.window)?;
        Ok(build::Conv2d { window, layer }.into())
    })
}
