//! Backends: from the nodes of a quantized graph to what a device executes.
//!
//! A backend owns its lowerings, one file for each operator that it takes, in its own list. A plan
//! may mix backends node by node; what none of the others takes falls to [`portable`], the last.

pub(crate) mod context;
mod error;
pub(crate) mod portable;

pub(crate) use context::{Context, Place};
pub(crate) use error::BackendError;

use tinsmith_module::build;

use crate::ir::{Graph, Node, TensorId};

/// Something that lowers nodes.
pub(crate) trait Backend: Sync {
    /// Name for reports.
    fn name(&self) -> &'static str;

    /// Brings a graph in floats into a form that the backend takes. The error names a rule that did
    /// not come to rest.
    fn legalise(&self, _: &mut Graph) -> Result<(), String> {
        Ok(())
    }

    /// Whether it can do the work of a node.
    fn takes(&self, graph: &Graph, node: &Node) -> bool;

    /// The order in which it wants the weights of a node: for each the index in the order of the
    /// graph; none for that order.
    fn weight_order(&self, _: &Graph, _: &Node) -> Option<Vec<usize>> {
        None
    }

    /// Bytes of memory that it needs while a node runs, besides inputs and outputs.
    fn scratch_bytes(&self, _: &Graph, _: &Node) -> usize {
        0
    }

    /// Inputs whose memory the first output of a node may take.
    fn in_place(&self, _: &Graph, node: &Node) -> &'static [usize] {
        node.op.in_place()
    }

    /// Cycles that a node takes, if they can be told.
    fn cycles(&self, _: &Graph, _: &Node) -> Option<u64> {
        None
    }

    /// The records that do the work of a node, in their order.
    fn emit(&self, cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError>;
}

/// A record of the module's plan, and what it gives.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The record.
    pub record: build::Op,
    /// The tensor that it computes, if it is one of the graph's.
    pub gives: Option<TensorId>,
}

impl Piece {
    /// A record that computes a tensor of the graph.
    pub(crate) fn of(tensor: TensorId, record: impl Into<build::Op>) -> Self {
        Self {
            record: record.into(),
            gives: Some(tensor),
        }
    }
}

/// The backends that a module may be made of: the first is preferred where cycles don't decide.
pub(crate) const ALL: &[&dyn Backend] = &[&portable::Portable];

/// The backend that does a node in the fewest cycles; one that can't tell comes after those that can.
pub(crate) fn choose(
    backends: &[&'static dyn Backend],
    graph: &Graph,
    node: &Node,
) -> Result<&'static dyn Backend, BackendError> {
    backends
        .iter()
        .copied()
        .filter(|backend| backend.takes(graph, node))
        .min_by_key(|backend| backend.cycles(graph, node).unwrap_or(u64::MAX))
        .ok_or_else(|| {
            let name = node.op.name();
            let sources = node.sources.join(", ");
            BackendError::Impossible(format!("{name} ({sources})"))
        })
}

#[cfg(test)]
mod tests;
