//! Softmax over the last axis, with a table of exponentials (numerics N11).

use tinsmith_module::build;

use super::{BackendError, Context};
use crate::ir::Node;

pub(super) fn record(cx: &Context<'_>, node: &Node) -> Result<build::Op, BackendError> {
    let shape = &cx.graph.tensor(node.inputs[0]).shape;
    let classes = shape.last().copied().unwrap_or(1).max(1);
    let rows = cx.graph.tensor(node.inputs[0]).elements() / classes;
    let (scale, _) = cx.scale(node.inputs[0])?;
    Ok(build::Op::Softmax(build::Softmax {
        input: cx.view_as(node.inputs[0], [1, rows, classes])?,
        output: cx.view_as(node.outputs[0], [1, rows, classes])?,
        table: table(scale, classes),
    }))
}

/// T[d] = rint(exp(-s * d) * 2^k) with k = min(22, 31 - ceil(log2 N)).
fn table(scale: f32, classes: usize) -> [u32; 256] {
    let log2 = classes.next_power_of_two().trailing_zeros();
    let k = 22_u32.min(31_u32.saturating_sub(log2));
    let one = f64::from(1_u32 << k);
    let mut table = [0; 256];
    for (d, entry) in (0_u16..256).zip(&mut table) {
        *entry = (libm::exp(-f64::from(scale) * f64::from(d)) * one).round_ties_even() as u32;
    }
    table
}
