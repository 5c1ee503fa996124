//! Padding with a constant.

use tinsmith_module::build;

use super::Lowered;
use crate::backend::context::number;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::Pad;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Pad>(),
    tenths: 43,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(Pad { before, value, .. }) = node.op.get() else {
        return Ok(Vec::new());
    };
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let (scale, zero) = cx.scale(output)?;
    let real = (f64::from(*value) / f64::from(scale)).round_ties_even() + f64::from(zero);
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
    let record = build::Pad {
        input: cx.view_as(input, three(shape, 1)?)?,
        output: cx.view_as(output, three(&cx.graph.tensor(output).shape, 1)?)?,
        top: number(top)?,
        left: number(left)?,
        front: number(front)?,
        value: real.clamp(-128.0, 127.0) as i8,
    };
    Ok(vec![Piece::of(output, record)])
}
