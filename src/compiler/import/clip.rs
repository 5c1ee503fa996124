//! Clip, with its limits as attributes (operator set below 11) or constant inputs.

use super::{Importer, NodeView};
use crate::ir::{Clamp, Function, Op};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let limit = |index, name| -> Result<Option<f32>, Problem> {
        if cx.opset < 11 {
            return Ok(node.optional_float(name));
        }
        if node.input(index).is_empty() {
            return Ok(None);
        }
        Ok(cx.floats(node, index, "limit")?.0.first().copied())
    };
    let clamp = Clamp {
        lo: limit(1, "min")?.unwrap_or(f32::NEG_INFINITY),
        hi: limit(2, "max")?.unwrap_or(f32::INFINITY),
    };
    if clamp.lo > clamp.hi {
        return Err(Problem::Attribute {
            attribute: "min".into(),
            value: clamp.lo.to_string(),
            rule: format!("it must not exceed max, {}", clamp.hi),
        });
    }
    let shape = cx.shape(x).to_vec();
    let y = cx.emit(Op::Map(Function::Clamp(clamp)), vec![x], shape);
    cx.bind(node, y)
}
