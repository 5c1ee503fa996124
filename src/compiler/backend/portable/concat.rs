//! Concatenation along one axis; inputs of another scale are brought to the output's.

use tinsmith_module::build;
use tinsmith_module::numerics::Multiplier;

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node};
use crate::operators::Concat;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Concat>(),
    tenths: 51,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(&Concat { axis }) = node.op.get::<Concat>() else {
        return Ok(Vec::new());
    };
    // Everything before the axis is columns, everything from it on is channels.
    let extents = |tensor| {
        let shape = &cx.graph.tensor(tensor).shape;
        [
            1,
            shape[..axis].iter().product(),
            shape[axis..].iter().product(),
        ]
    };
    let output = cx.operand(node, &node.outputs, 0)?;
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
    let record = build::Concat {
        inputs,
        output: cx.view_as(output, extents(output))?,
        axis: build::Axis::Channels,
        clamp: cx.clamp(output, &Clamp::NONE)?,
    };
    Ok(vec![Piece::of(output, record)])
}
