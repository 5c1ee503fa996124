//! Fully connected layer.

use tinsmith_module::build;

use super::{BackendError, Context};
use crate::ir::{Clamp, Node};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    clamp: &Clamp,
) -> Result<build::Op, BackendError> {
    let (weights, bias, multipliers) = cx.weights(node)?;
    let elements = cx.graph.tensor(node.inputs[0]).elements();
    Ok(build::Op::FullyConnected(build::FullyConnected {
        layer: build::Layer {
            input: cx.view_as(node.inputs[0], [1, 1, elements])?,
            output: cx.view(node.outputs[0])?,
            input_zero_point: cx.scale(node.inputs[0])?.1,
            clamp: cx.clamp(node.outputs[0], clamp)?,
            weights,
            bias,
            multipliers,
        },
    }))
}
