//! Depthwise convolution.

use tinsmith_module::build;

use super::{BackendError, Context, window};
use crate::ir::{Clamp, Node, Window};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    geometry: &Window,
    clamp: &Clamp,
) -> Result<build::Op, BackendError> {
    let (weights, bias, multipliers) = cx.weights(node)?;
    Ok(build::Op::DepthwiseConv(build::DepthwiseConv {
        window: window(geometry)?,
        layer: build::Layer {
            input: cx.spatial(node.inputs[0])?,
            output: cx.spatial(node.outputs[0])?,
            input_zero_point: cx.scale(node.inputs[0])?.1,
            clamp: cx.clamp(node.outputs[0], clamp)?,
            weights,
            bias,
            multipliers,
        },
    }))
}
