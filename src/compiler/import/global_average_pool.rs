//! GlobalAveragePool: the mean over all positions of a channel.

use super::{Importer, NodeView};
use crate::ir::{Op, Window};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let average = |window| Op::AveragePool {
        window,
        include_pad: false,
    };
    let y = cx.global_pool(node, average)?;
    cx.bind(node, y)
}

impl Importer<'_> {
    /// A pool whose window is the whole input.
    pub(super) fn global_pool(
        &mut self,
        node: &NodeView<'_>,
        op: impl FnOnce(Window) -> Op,
    ) -> Result<crate::ir::TensorId, Problem> {
        let x = self.input(node, 0)?;
        let rank = self.shape(x).len();
        let input = self.channels_last(x)?;
        let [n, h, w, c] = *self.shape(input) else {
            return Err(Problem::Shapes {
                detail: "not a tensor of rank 4".into(),
            });
        };
        let y = self.emit(op(Window::plain([h, w])), vec![input], vec![n, 1, 1, c]);
        Ok(self.onnx_order(y, rank))
    }
}
