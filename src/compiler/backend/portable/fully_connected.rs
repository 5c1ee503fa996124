//! Fully connected layer.

use tinsmith_module::build;

use super::{Lowered, layer};
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::FullyConnected;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<FullyConnected>(),
    tenths: 41,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    layer::records(cx, node, [Context::flat, Context::view], |layer| {
        Ok(build::FullyConnected { layer }.into())
    })
}
