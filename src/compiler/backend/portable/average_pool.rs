//! Mean over a window.

use tinsmith_module::build;

use super::{BackendError, Context, window};
use crate::ir::{Clamp, Node, Window};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    geometry: &Window,
    count_include_pad: bool,
) -> Result<build::Op, BackendError> {
    let (input_scale, input_zero_point) = cx.scale(node.inputs[0])?;
    Ok(build::Op::AveragePool(build::AveragePool {
        input: cx.spatial(node.inputs[0])?,
        output: cx.spatial(node.outputs[0])?,
        window: window(geometry)?,
        input_zero_point,
        clamp: cx.clamp(node.outputs[0], &Clamp::NONE)?,
        count_include_pad,
        input_scale,
        output_scale: cx.scale(node.outputs[0])?.0,
    }))
}
