//! Softmax along one axis.

use super::{Importer, NodeView};
use crate::ir::Op;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let shape = cx.shape(x).to_vec();
    let rank = shape.len();
    let y = if cx.opset >= 13 {
        let axis = node.axis("axis", -1, rank)?;
        let moved = cx.axis_last(x, axis);
        let inner = cx.shape(moved).to_vec();
        let y = cx.emit(Op::Softmax, vec![moved], inner);
        cx.axis_from_last(y, axis)
    } else {
        // Before operator set 13 it runs over everything from the axis on.
        let axis = node.axis("axis", 1, rank)?;
        let outer = shape[..axis].iter().product();
        let flat = vec![outer, shape[axis..].iter().product()];
        let moved = cx.reshape(x, flat.clone());
        let y = cx.emit(Op::Softmax, vec![moved], flat);
        cx.reshape(y, shape)
    };
    cx.bind(node, y)
}
