//! A transposition that could not be absorbed, as a strided copy.

use tinsmith_module::build;

use super::Lowered;
use crate::backend::context::number;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::Transpose;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Transpose>(),
    tenths: 87,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(Transpose { perm }) = node.op.get() else {
        return Ok(Vec::new());
    };
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
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
    let record = build::Copy {
        input: cx.flat(input)?,
        output: cx.flat(output)?,
        shape,
        input_start: 0,
        input_strides,
    };
    Ok(vec![Piece::of(output, record)])
}
