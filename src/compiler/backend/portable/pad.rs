//! Padding with a constant.

use tinsmith_module::build;

use super::{BackendError, Context, number};
use crate::ir::Node;

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    before: &[usize],
    value: f32,
) -> Result<build::Op, BackendError> {
    let (input, output) = (node.inputs[0], node.outputs[0]);
    let (scale, zero) = cx.scale(output)?;
    let real = (f64::from(value) / f64::from(scale)).round_ties_even() + f64::from(zero);
    let shape = &cx.graph.tensor(input).shape;
    let three = |list: &[usize], fill: usize| match *list {
        [n, h, w, c] if n == fill => Ok([h, w, c]),
        [h, w, c] => Ok([h, w, c]),
        [w, c] => Ok([fill, w, c]),
        [c] => Ok([fill, fill, c]),
        _ => Err(BackendError::Impossible(format!(
            "padding a tensor of shape {shape:?}"
        ))),
    };
    let [top, left, front] = three(before, 0)?;
    Ok(build::Op::Pad(build::Pad {
        input: cx.view_as(input, three(shape, 1)?)?,
        output: cx.view_as(output, three(&cx.graph.tensor(output).shape, 1)?)?,
        top: number(top)?,
        left: number(left)?,
        front: number(front)?,
        value: real.clamp(-128.0, 127.0) as i8,
    }))
}
