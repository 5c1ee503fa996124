//! AveragePool, 1-D and 2-D, and the mean over a window that it and its relatives become.

use tinsmith_build_job::Problem;

use super::pool;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Layout, Op, Operands, Operator, Prepared, Window};

pub(super) const ONNX: &[OnnxOperator] = &[known("AveragePool", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let include_pad = node.int("count_include_pad", 0) == 1;
    if include_pad && node.int("ceil_mode", 0) == 1 {
        let what = "ceil_mode together with count_include_pad; export without one of them".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.pool(node, |window| AveragePool {
        window,
        include_pad,
    })?;
    cx.bind(node, y)
}

/// Mean over the window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AveragePool {
    /// The window.
    pub window: Window,
    /// Whether padding counts as zeros.
    pub include_pad: bool,
}

impl AveragePool {
    /// The mean of what lies in the window.
    pub(super) fn of_valid(window: Window) -> Self {
        Self {
            window,
            include_pad: false,
        }
    }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let full = self.window.kernel[0] * self.window.kernel[1];
        pool::walk(&self.window, x, out, |out, valid| {
            for run in valid {
                for (out, x) in out.iter_mut().zip(*run) {
                    *out += x;
                }
            }
            let count = if self.include_pad { full } else { valid.len() };
            for out in out {
                *out /= count as f32;
            }
        });
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        pool::shapes(&self.window, inputs)
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::ChannelsLast)
    }

    fn with_padding(&self, before: [usize; 2], after: [usize; 2]) -> Option<Op> {
        let counts = self.include_pad || !self.window.is_padded();
        counts.then(|| {
            Self {
                window: self.window.grown(before, after),
                include_pad: true,
            }
            .into()
        })
    }

    fn is_padded(&self) -> bool {
        self.window.is_padded()
    }
}
