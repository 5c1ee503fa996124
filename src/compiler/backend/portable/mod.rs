//! The portable backend: records for the kernels that every device has, one file per operator.

mod add;
mod average_pool;
mod concat;
mod conv;
mod copy;
mod depthwise_conv;
mod fully_connected;
mod layer;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod softmax;
mod store;
mod sub;

use super::{Backend, BackendError, Context, Piece};
use crate::ir::{Graph, Node};
use crate::passes;

/// What an operator's file holds: whether it takes a node, how, and what a step of it costs.
struct Lowered {
    takes: fn(&Node) -> bool,
    /// Tenths of a cycle for each step of the innermost loop, as many as [`steps`] says: the
    /// instructions of the layers of `device-client/module/examples/single_layers.rs`, counted on a
    /// Cortex-M4 in QEMU. It orders ways to do a node; a real core takes more cycles than that.
    tenths: u64,
    records: fn(&Context<'_>, &Node) -> Result<Vec<Piece>, BackendError>,
}

/// The operators that there are kernels for.
const LOWERED: &[Lowered] = &[
    add::LOWERED,
    average_pool::LOWERED,
    concat::LOWERED,
    conv::LOWERED,
    copy::LOWERED,
    depthwise_conv::LOWERED,
    fully_connected::LOWERED,
    lookup::LOWERED,
    max_pool::LOWERED,
    mul::LOWERED,
    pad::LOWERED,
    softmax::LOWERED,
    store::LOWERED,
    sub::LOWERED,
];

/// The kernels of the module crate.
pub(crate) struct Portable;

/// Multiply-accumulates, or elements of the largest tensor where there are none.
fn steps(graph: &Graph, node: &Node) -> u64 {
    let (inputs, outputs) = (graph.shapes(&node.inputs), graph.shapes(&node.outputs));
    let elements = |shape: &&[usize]| shape.iter().product::<usize>() as u64;
    let largest = inputs.iter().chain(&outputs).map(elements).max();
    match node.op.macs(&inputs, &outputs) {
        0 => largest.unwrap_or(0),
        macs => macs,
    }
}

fn lowered(node: &Node) -> Option<&'static Lowered> {
    LOWERED.iter().find(|lowered| (lowered.takes)(node))
}

impl Backend for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn legalise(&self, graph: &mut Graph) -> Result<(), String> {
        passes::lower_affine(graph)
    }

    fn takes(&self, _: &Graph, node: &Node) -> bool {
        lowered(node).is_some()
    }

    fn cycles(&self, graph: &Graph, node: &Node) -> Option<u64> {
        let tenths = lowered(node)?.tenths;
        Some(steps(graph, node).saturating_mul(tenths).div_ceil(10))
    }

    fn emit(&self, cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
        match lowered(node) {
            Some(lowered) => (lowered.records)(cx, node),
            None => Err(BackendError::Impossible(format!(
                "{} reached the portable backend",
                node.op.name()
            ))),
        }
    }
}
