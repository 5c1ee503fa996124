//! Product of two tensors.

use tinsmith_module::build;
use tinsmith_module::numerics::Multiplier;

use super::{BackendError, Context};
use crate::ir::{Clamp, Node};

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    clamp: &Clamp,
) -> Result<build::Op, BackendError> {
    let (a, b, output) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let ((s_a, z_a), (s_b, z_b)) = (cx.scale(a)?, cx.scale(b)?);
    let (s_out, _) = cx.scale(output)?;
    Ok(build::Op::Mul(build::Mul {
        a: cx.view(a)?,
        b: build::Operand::Arena(cx.view(b)?),
        output: cx.view(output)?,
        a_zero_point: z_a,
        b_zero_point: z_b,
        multiplier: Multiplier::product(s_a, s_b, s_out)?,
        clamp: cx.clamp(output, clamp)?,
    }))
}
