//! What convolution, depthwise convolution and fully connected layer have in common.

use tinsmith_module::build::{self, View};

use super::Portable;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node, TensorId};

/// How a tensor is seen.
pub(super) type Viewed<'a> = fn(&Context<'a>, TensorId) -> Result<View, BackendError>;

/// The record of a layer whose input and output are seen as told.
pub(super) fn records<'a>(
    cx: &Context<'a>,
    node: &Node,
    [input, output]: [Viewed<'a>; 2],
    record: impl FnOnce(build::Layer) -> Result<build::Op, BackendError>,
) -> Result<Vec<Piece>, BackendError> {
    let (x, y) = (
        cx.operand(node, &node.inputs, 0)?,
        cx.operand(node, &node.outputs, 0)?,
    );
    let clamp = node.op.clamp().unwrap_or(Clamp::NONE);
    let layer = cx.layer(node, &Portable, input(cx, x)?, output(cx, y)?, &clamp)?;
    Ok(vec![Piece::of(y, record(layer)?)])
}
