//! Maximum over a window.

use tinsmith_module::build;

use super::{BackendError, Context, window};
use crate::ir::{Node, Window};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    geometry: &Window,
) -> Result<build::Op, BackendError> {
    Ok(build::Op::MaxPool(build::MaxPool {
        input: cx.spatial(node.inputs[0])?,
        output: cx.spatial(node.outputs[0])?,
        window: window(geometry)?,
        low: -128,
        high: 127,
    }))
}
