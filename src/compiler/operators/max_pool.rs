//! MaxPool, 1-D and 2-D, and the maximum over a window that it and its relatives become.

use tinsmith_build_job::Problem;

use super::pool;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Layout, Operands, Operator, Prepared, ScaleRule, Window};

pub(super) const ONNX: &[OnnxOperator] = &[known("MaxPool", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    if node.int("storage_order", 0) != 0 {
        let what = "storage_order 1 is not supported; export with 0".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.pool(node, |window| MaxPool { window })?;
    cx.bind(node, y)
}

/// Largest value in the window; padding is ignored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MaxPool {
    /// The window.
    pub window: Window,
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        pool::walk(&self.window, x, out, |out, valid| {
            out.fill(f32::NEG_INFINITY);
            for run in valid {
                for (out, &x) in out.iter_mut().zip(*run) {
                    if x > *out {
                        *out = x;
                    }
                }
            }
        });
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        pool::shapes(&self.window, inputs)
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::ChannelsLast)
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(0)
    }

    fn passes_limits(&self) -> bool {
        true
    }

    fn is_padded(&self) -> bool {
        self.window.is_padded()
    }
}
