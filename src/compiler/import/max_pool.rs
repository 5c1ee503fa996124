//! MaxPool, 1-D and 2-D.

use super::{Importer, NodeView, window};
use crate::ir::{Op, Window};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    if node.int("storage_order", 0) != 0 {
        let what = "storage_order 1 is not supported; export with 0".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.pool(node, |window| Op::MaxPool { window })?;
    cx.bind(node, y)
}

impl Importer<'_> {
    /// A pool with the window of the node.
    pub(super) fn pool(
        &mut self,
        node: &NodeView<'_>,
        op: impl FnOnce(Window) -> Op,
    ) -> Result<crate::ir::TensorId, Problem> {
        let x = self.input(node, 0)?;
        let shape = self.shape(x).to_vec();
        let rank = shape.len();
        let input = self.channels_last(x)?;
        let known = self.known_shape(node)?;
        let kernel = window::kernel(node, rank - 2)?;
        let window = window::read(
            node,
            &shape[2..],
            &kernel,
            known.as_deref().map(|k| &k[2..]),
        )?;
        if (0..2).any(|a| {
            let span = (window.kernel[a] - 1) * window.dilation[a] + 1;
            window.before[a] >= span || window.after[a] >= span + window.stride[a]
        }) {
            return Err(Problem::Attribute {
                attribute: "pads".into(),
                value: format!("{:?}", node.ints("pads").unwrap_or_default()),
                rule: "a pad must be smaller than the kernel".into(),
            });
        }
        let [batch, h, w, channels] = *self.shape(input) else {
            return Err(Problem::Shapes {
                detail: "not a tensor of rank 4".into(),
            });
        };
        let [out_h, out_w] = window::output(&window, [h, w])?;
        let shape = vec![batch, out_h, out_w, channels];
        let y = self.emit(op(window), vec![input], shape);
        Ok(self.onnx_order(y, rank))
    }
}
