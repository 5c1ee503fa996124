//! What pools share.

use tinsmith_build_job::Problem;

use super::window;
use crate::import::{Importer, NodeView, node};
use crate::ir::{Op, Operands, TensorId, Window};

/// Shows `pixel` each output pixel, which holds zeros, with the input pixels under its window.
pub(super) fn walk(
    window: &Window,
    x: &Operands<'_>,
    out: &mut [Vec<f32>],
    mut pixel: impl FnMut(&mut [f32], &[&[f32]]),
) {
    let ([out], &[batch, h, w, c], &[_, out_h, out_w, out_c]) = (out, x.shape(0), x.output(0))
    else {
        return;
    };
    let values = x.values(0);
    let mut pixels = out.chunks_mut(out_c);
    let mut valid: Vec<&[f32]> = Vec::new();
    for n in 0..batch {
        for y in 0..out_h {
            for column in 0..out_w {
                valid.clear();
                for ky in 0..window.kernel[0] {
                    for kx in 0..window.kernel[1] {
                        if let Some([iy, ix]) = window.tap([y, column], [ky, kx], [h, w]) {
                            let at = ((n * h + iy) * w + ix) * c;
                            valid.push(&values[at..at + c]);
                        }
                    }
                }
                if let Some(out) = pixels.next() {
                    pixel(out, &valid);
                }
            }
        }
    }
}

/// As many channels as the input.
pub(super) fn shapes(
    window: &Window,
    inputs: &[&[usize]],
) -> Result<Option<Vec<Vec<usize>>>, Problem> {
    let channels = inputs.first().and_then(|x| x.last()).copied();
    window::shapes(window, inputs, channels.unwrap_or(0))
}

/// Height and width of so many elements: one row, or several if it is too long for a window.
fn rectangle(count: usize) -> (usize, usize) {
    const LONGEST: usize = 1 << 15;
    let widths = (1..=count.min(LONGEST)).rev();
    let width = match count {
        0..=LONGEST => count,
        _ => widths
            .into_iter()
            .find(|&w| count.is_multiple_of(w))
            .unwrap_or(1),
    };
    (count.checked_div(width).unwrap_or(1), width)
}

impl Importer<'_> {
    /// A pool with the window of the node.
    pub(super) fn pool<T: Into<Op>>(
        &mut self,
        node: &NodeView<'_>,
        op: impl FnOnce(Window) -> T,
    ) -> Result<TensorId, Problem> {
        let x = self.input(node, 0)?;
        let shape = self.shape(x).to_vec();
        let rank = shape.len();
        let input = self.channels_last(x)?;
        let kernel = window::kernel(node, rank - 2)?;
        let window = window::read(node, &shape[2..], &kernel)?;
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
        let y = self.emit(op(window), vec![input])?;
        self.onnx_order(y, rank)
    }

    /// A pool whose window is the whole input.
    pub(super) fn global_pool<T: Into<Op>>(
        &mut self,
        node: &NodeView<'_>,
        op: impl FnOnce(Window) -> T,
    ) -> Result<TensorId, Problem> {
        let x = self.input(node, 0)?;
        let rank = self.shape(x).len();
        let input = self.channels_last(x)?;
        let [_, h, w, _] = *self.shape(input) else {
            return Err(window::not_spatial());
        };
        let y = self.emit(op(Window::plain([h, w])), vec![input])?;
        self.onnx_order(y, rank)
    }

    /// A reduction over some axes as a pool over `[1, h, w, kept]`. From operator set
    /// `inputs_since` on the axes are an input.
    pub(super) fn reduce<T: Into<Op>>(
        &mut self,
        view: &NodeView<'_>,
        inputs_since: i64,
        op: impl FnOnce(Window) -> T,
    ) -> Result<TensorId, Problem> {
        let x = self.input(view, 0)?;
        let shape = self.shape(x).to_vec();
        let rank = shape.len();
        let listed = if self.opset() >= inputs_since {
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
        let moved = self.transpose(x, perm)?;
        let count: usize = reduced.iter().map(|&a| shape[a]).product();
        let channels: usize = long.iter().map(|&a| shape[a]).product();
        let (h, w) = match *reduced.as_slice() {
            [a, b] => (shape[a], shape[b]),
            _ => rectangle(count),
        };
        let flat = self.reshape(moved, vec![1, h, w, channels])?;
        let y = self.emit(op(Window::plain([h, w])), vec![flat])?;
        let output = (0..rank)
            .filter(|axis| keep || !axes.contains(axis))
            .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
            .collect();
        self.reshape(y, output)
    }
}
