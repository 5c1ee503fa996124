//! Mean over a window.

use tinsmith_module::build;

use super::Lowered;
use crate::backend::context::window;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node};
use crate::operators::AveragePool;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<AveragePool>(),
    tenths: 306,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let Some(op) = node.op.get::<AveragePool>() else {
        return Ok(Vec::new());
    };
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let (input_scale, input_zero_point) = cx.scale(input)?;
    let record = build::AveragePool {
        input: cx.spatial(input)?,
        output: cx.spatial(output)?,
        window: window(&op.window)?,
        input_zero_point,
        clamp: cx.clamp(output, &Clamp::NONE)?,
        count_include_pad: op.include_pad,
        input_scale,
        output_scale: cx.scale(output)?.0,
    };
    Ok(vec![Piece::of(output, record)])
}
