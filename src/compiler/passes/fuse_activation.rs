//! Limits (Relu, Clip) fuse into the operation before them.

use crate::ir::{Graph, Node, NodeId, Patch, Rule};
use crate::operators::Limit;

/// See the module.
pub(super) struct FuseActivation;

impl Rule for FuseActivation {
    fn name(&self) -> &'static str {
        "fuse-activation"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let Limit { clamp } = node.op.get()?;
        let x = node.inputs[0];
        let (before_id, before) = graph.producer(x)?;
        if !graph.is_private(x) || graph.tensor(x).is_imported() {
            return None;
        }
        if before.op.passes_limits() {
            return through(graph, id, node, before_id, before);
        }
        Graph::only_output(before)?;
        let mut fused = before.clone();
        fused.op = before.op.with_clamp(before.op.clamp()?.then(clamp))?;
        fused.outputs.clone_from(&node.outputs);
        fused.sources.extend(node.sources.iter().cloned());
        let mut patch = Patch::new(graph);
        patch.remove(before_id);
        patch.remove(id);
        patch.node(fused);
        Some(patch)
    }
}

/// Limits before an operation instead of behind it.
fn through(graph: &Graph, id: NodeId, node: &Node, pool_id: NodeId, pool: &Node) -> Option<Patch> {
    let source = pool.inputs[0];
    let (_, before) = graph.producer(source)?;
    if !graph.is_private(source)
        || before.op.clamp().is_none()
        || graph.tensor(source).is_imported()
    {
        return None;
    }
    let mut patch = Patch::new(graph);
    patch.remove(pool_id);
    patch.remove(id);
    let limited = patch.tensor(graph.tensor(source).clone());
    patch.node(Node {
        inputs: vec![source],
        outputs: vec![limited],
        ..node.clone()
    });
    patch.node(Node {
        inputs: vec![limited],
        outputs: node.outputs.clone(),
        ..pool.clone()
    });
    Some(patch)
}
