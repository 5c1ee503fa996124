//! ReduceMean over the spatial axes.

use super::{Importer, NodeView, node};
use crate::ir::{Op, TensorId, Window};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let average = |window| Op::AveragePool {
        window,
        include_pad: false,
    };
    let y = cx.reduce(node, 18, average)?;
    cx.bind(node, y)
}

impl Importer<'_> {
    /// A reduction over some axes as a pool over `[n, 1, reduced, kept]`. From operator set
    /// `inputs_since` on the axes are an input.
    pub(super) fn reduce(
        &mut self,
        view: &NodeView<'_>,
        inputs_since: i64,
        op: impl FnOnce(Window) -> Op,
    ) -> Result<TensorId, Problem> {
        let x = self.input(view, 0)?;
        let shape = self.shape(x).to_vec();
        let rank = shape.len();
        let listed = if self.opset >= inputs_since {
            self.integers(view, 1, "axes")?
        } else {
            view.ints("axes").map(<[i64]>::to_vec)
        };
        let axes = match listed {
            Some(list) => list
                .iter()
                .map(|&value| node::axis("axes", value, rank))
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).collect(),
        };
        let keep = view.int("keepdims", 1) == 1;
        let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
        let reduced: Vec<usize> = (0..rank).filter(|axis| axes.contains(axis)).collect();
        // Kept axes that matter, then the reduced ones: batch-like axes of extent 1 go first.
        let (ones, long): (Vec<usize>, Vec<usize>) = kept.iter().partition(|&&a| shape[a] == 1);
        let perm: Vec<usize> = ones.iter().chain(&reduced).chain(&long).copied().collect();
        let moved = self.transpose(x, perm);
        let count: usize = reduced.iter().map(|&a| shape[a]).product();
        let channels: usize = long.iter().map(|&a| shape[a]).product();
        let (h, w) = match *reduced.as_slice() {
            [a, b] => (shape[a], shape[b]),
            _ => (1, count),
        };
        let flat = self.reshape(moved, vec![1, h, w, channels]);
        let y = self.emit(
            op(Window::plain([h, w])),
            vec![flat],
            vec![1, 1, 1, channels],
        );
        let output = (0..rank)
            .filter(|axis| keep || !axes.contains(axis))
            .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
            .collect();
        Ok(self.reshape(y, output))
    }
}
