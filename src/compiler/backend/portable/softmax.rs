//! Softmax over the last axis, with a table of exponentials (numerics N11).

use tinsmith_module::build;

use super::Lowered;
use crate::backend::{BackendError, Context, Piece};
use crate::ir::Node;
use crate::operators::Softmax;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Softmax>(),
    tenths: 463,
    records,
};

fn records(cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
    let input = cx.operand(node, &node.inputs, 0)?;
    let output = cx.operand(node, &node.outputs, 0)?;
    let tensor = cx.graph.tensor(input);
    let classes = tensor.shape.last().copied().unwrap_or(1).max(1);
    let extents = [1, tensor.elements() / classes, classes];
    let record = build::Softmax {
        input: cx.view_as(input, extents)?,
        output: cx.view_as(output, extents)?,
        table: table(cx.scale(input)?.0, classes),
    };
    Ok(vec![Piece::of(output, record)])
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
