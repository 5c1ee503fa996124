//! Sub of two tensors, or of a tensor and a constant.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

use crate::ir::{Clamp, Op};

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let (a, b) = (cx.input(node, 0)?, cx.input(node, 1)?);
    let y = match (cx.channel_constant(a, b)?, cx.channel_constant(b, a)?) {
        (Some((axis, values)), _) => cx.affine(b, axis, vec![-1.0; values.len()], values),
        (_, Some((axis, values))) => {
            let offset = values.iter().map(|v| -v).collect();
            cx.affine(a, axis, vec![1.0; values.len()], offset)
        }
        _ => cx.binary(Op::Sub { clamp: Clamp::NONE }, a, b)?,
    };
    cx.bind(node, y)
}
