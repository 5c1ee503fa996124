//! Flatten: everything before the axis is rows, everything from it on is columns.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("Flatten", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let rank = cx.shape(x).len();
    // An axis behind the last is allowed: one column.
    let axis = match node.int("axis", 1) {
        value if usize::try_from(value) == Ok(rank) => rank,
        _ => node.axis("axis", 1, rank)?,
    };
    let (rows, columns) = cx.shape(x).split_at(axis);
    let shape = vec![rows.iter().product(), columns.iter().product()];
    let y = cx.reshape(x, shape)?;
    cx.bind(node, y)
}
