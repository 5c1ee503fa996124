//! Concat along one axis.

use super::{Importer, NodeView};
use crate::ir::Op;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let inputs = (0..node.input_count())
        .map(|i| cx.input(node, i))
        .collect::<Result<Vec<_>, _>>()?;
    let shape = cx.shape(inputs[0]).to_vec();
    let axis = node.axis("axis", 0, shape.len())?;
    let mut output = shape.clone();
    output[axis] = 0;
    for &input in &inputs {
        let other = cx.shape(input);
        let fits = other.len() == shape.len()
            && other
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(i, (a, b))| i == axis || a == b);
        if !fits {
            return Err(Problem::Shapes {
                detail: format!("{shape:?} joined with {other:?}"),
            });
        }
        output[axis] += other[axis];
    }
    if inputs.iter().any(|&i| cx.graph.tensor(i).is_constant())
        && !inputs.iter().all(|&i| cx.graph.tensor(i).is_constant())
    {
        let what = "a constant joined with a tensor is not supported; use Pad or a bias".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.emit(Op::Concat { axis }, inputs, output);
    cx.bind(node, y)
}
