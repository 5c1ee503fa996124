//! The next value of a state, written where the state lies.

use tinsmith_module::build;
use tinsmith_module::numerics::Multiplier;

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node};
use crate::operators::Store;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Store>(),
    tenths: 329,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let ((s_in, z_in), (s_out, _)) = (cx.scale(input)?, cx.scale(output)?);
    let multiplier = Multiplier::rescale(s_in, s_out)?;
    let record = build::Requantize {
        input: cx.view(input)?,
        output: cx.view(output)?,
        input_zero_point: z_in,
        multiplier,
        clamp: cx.clamp(output, &Clamp::NONE)?,
    };
    Ok(vec![Piece::of(output, record)])
}
