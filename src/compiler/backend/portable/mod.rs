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

/// What an operator's file holds: whether it takes a node, and how.
struct Lowered {
    takes: fn(&Node) -> bool,
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
