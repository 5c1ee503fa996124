//! Product of two tensors.

use tinsmith_module::build;
use tinsmith_module::numerics::Multiplier;

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node};
use crate::operators::Mul;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Mul>(),
    tenths: 400,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let (a, b) = (
        cx.operand(node, &node.inputs, 0)?,
        cx.operand(node, &node.inputs, 1)?,
    );
    let output = cx.operand(node, &node.outputs, 0)?;
    let ((s_a, z_a), (s_b, z_b)) = (cx.scale(a)?, cx.scale(b)?);
    let multiplier = Multiplier::product(s_a, s_b, cx.scale(output)?.0)?;
    let clamp = node.op.clamp().unwrap_or(Clamp::NONE);
    let record = build::Mul {
        a: cx.view(a)?,
        b: build::Operand::Arena(cx.view(b)?),
        output: cx.view(output)?,
        a_zero_point: z_a,
        b_zero_point: z_b,
        multiplier,
        clamp: cx.clamp(output, &clamp)?,
    };
    Ok(vec![Piece::of(output, record)])
}
