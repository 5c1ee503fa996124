//! Sum of two tensors, and what the difference shares with it.

use tinsmith_module::build;
use tinsmith_module::numerics::{FactorError, SumFactors};

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::{Clamp, Node};
use crate::operators::Add;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Add>(),
    tenths: 406,
    records: |cx, node| records(cx, node, SumFactors::add),
};

/// Factors from the scales of both inputs and the output.
type Factors = fn(f32, f32, f32) -> Result<SumFactors, FactorError>;

pub(super) fn records(
    cx: &Context<'_>,
    node: &Node,
    factors: Factors,
) -> Result<Vec<Piece>, BackendError> {
    let (a, b) = (
        cx.operand(node, &node.inputs, 0)?,
        cx.operand(node, &node.inputs, 1)?,
    );
    let output = cx.operand(node, &node.outputs, 0)?;
    let ((s_a, z_a), (s_b, z_b)) = (cx.scale(a)?, cx.scale(b)?);
    let factors = factors(s_a, s_b, cx.scale(output)?.0)?;
    let clamp = node.op.clamp().unwrap_or(Clamp::NONE);
    let record = build::Add {
        a: cx.view(a)?,
        b: build::Operand::Arena(cx.view(b)?),
        output: cx.view(output)?,
        a_zero_point: z_a,
        b_zero_point: z_b,
        factors,
        clamp: cx.clamp(output, &clamp)?,
    };
    Ok(vec![Piece::of(output, record)])
}
