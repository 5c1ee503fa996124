//! A transposition that could not be absorbed, as a strided copy.

use tinsmith_module::build;

use super::{BackendError, Context, number};
use crate::ir::Node;

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    perm: &[usize],
) -> Result<build::Op, BackendError> {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let from = &cx.graph.tensor(input).shape;
    let mut strides = vec![1; from.len()];
    for axis in (0..from.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * from[axis + 1];
    }
    let axes: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
    if axes.len() > 4 {
        return Err(BackendError::Impossible(format!(
            "transposing a tensor of shape {from:?}"
        )));
    }
    let (mut shape, mut input_strides) = ([1; 4], [0; 4]);
    let skip = 4 - axes.len();
    for (slot, &axis) in axes.iter().enumerate() {
        shape[skip + slot] = number(from[axis])?;
        input_strides[skip + slot] = number(strides[axis])?;
    }
    let elements = cx.graph.tensor(input).elements();
    Ok(build::Op::Copy(build::Copy {
        input: cx.view_as(input, [1, 1, elements])?,
        output: cx.view_as(output, [1, 1, elements])?,
        shape,
        input_start: 0,
        input_strides,
    }))
}
