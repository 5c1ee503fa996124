//! Concatenation along one axis; inputs of another scale are brought to the output's.

use tinsmith_module::build;
use tinsmith_module::numerics::Multiplier;

use super::{BackendError, Context};
use crate::ir::{Clamp, Node};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    axis: usize,
) -> Result<build::Op, BackendError> {
    // Everything before the axis is columns, everything from it on is channels.
    let extents = |tensor| {
        let shape = &cx.graph.tensor(tensor).shape;
        [
            1,
            shape[..axis].iter().product(),
            shape[axis..].iter().product(),
        ]
    };
    let output = node.outputs[0];
    let (s_out, z_out) = cx.scale(output)?;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &input in &node.inputs {
        let (s_in, z_in) = cx.scale(input)?;
        let requantize = if (s_in, z_in) == (s_out, z_out) {
            None
        } else {
            Some((z_in, Multiplier::rescale(s_in, s_out)?))
        };
        inputs.push(build::ConcatInput {
            view: cx.view_as(input, extents(input))?,
            requantize,
        });
    }
    Ok(build::Op::Concat(build::Concat {
        inputs,
        output: cx.view_as(output, extents(output))?,
        axis: build::Axis::Channels,
        clamp: cx.clamp(output, &Clamp::NONE)?,
    }))
}
