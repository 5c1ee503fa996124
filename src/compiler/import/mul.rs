//! Mul of two tensors, or of a tensor and a constant.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

use crate::ir::{Clamp, Op};

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let (a, b) = (cx.input(node, 0)?, cx.input(node, 1)?);
    let y = match (cx.channel_constant(a, b)?, cx.channel_constant(b, a)?) {
        (Some((axis, values)), _) => {
            let zeros = vec![0.0; values.len()];
            cx.affine(b, axis, values, zeros)
        }
        (_, Some((axis, values))) => {
            let zeros = vec![0.0; values.len()];
            cx.affine(a, axis, values, zeros)
        }
        _ => cx.binary(Op::Mul { clamp: Clamp::NONE }, a, b)?,
    };
    cx.bind(node, y)
}
