//! Sum and difference of two tensors.

use tinsmith_module::build;
use tinsmith_module::numerics::SumFactors;

use super::{BackendError, Context};
use crate::ir::{Clamp, Node};

/// Sum or difference.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

pub(super) fn record(
    cx: &Context<'_>,
    node: &Node,
    clamp: &Clamp,
    sign: Sign,
) -> Result<build::Op, BackendError> {
    let (a, b, output) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let ((s_a, z_a), (s_b, z_b)) = (cx.scale(a)?, cx.scale(b)?);
    let (s_out, _) = cx.scale(output)?;
    let factors = match sign {
        Sign::Plus => SumFactors::add(s_a, s_b, s_out)?,
        Sign::Minus => SumFactors::sub(s_a, s_b, s_out)?,
    };
    Ok(build::Op::Add(build::Add {
        a: cx.view(a)?,
        b: build::Operand::Arena(cx.view(b)?),
        output: cx.view(output)?,
        a_zero_point: z_a,
        b_zero_point: z_b,
        factors,
        clamp: cx.clamp(output, clamp)?,
    }))
}
