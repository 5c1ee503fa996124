//! Flatten: the same elements in the shape that shape inference found.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let shape = cx.output_shape(node)?;
    let found: usize = shape.iter().product();
    if found != cx.graph.tensor(x).elements() {
        let detail = format!("{:?} can't become {shape:?}", cx.shape(x));
        return Err(Problem::Shapes { detail });
    }
    let y = cx.reshape(x, shape);
    cx.bind(node, y)
}
