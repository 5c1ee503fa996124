//! Limits (Relu, Clip) fuse into the operation before them.

use crate::ir::{Function, Graph, Node, NodeId, Op, Patch, Rule};

/// See the module.
pub(super) struct FuseActivation;

impl Rule for FuseActivation {
    fn name(&self) -> &'static str {
        "fuse-activation"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let Op::Map(Function::Clamp(clamp)) = &node.op else {
            return None;
        };
        let x = node.inputs[0];
        let (before_id, before) = graph.producer(x)?;
        if !graph.is_private(x) || graph.tensor(x).quantization.is_some() {
            return None;
        }
        let mut fused = before.clone();
        match &mut fused.op {
            Op::Map(Function::Clamp(first)) => *first = first.then(clamp),
            // A limit and a maximum commute.
            Op::MaxPool { .. } => return through_pool(graph, id, node, before_id, before),
            op => {
                let first = op.clamp_mut()?;
                *first = first.then(clamp);
            }
        }
        fused.outputs.clone_from(&node.outputs);
        fused.sources.extend(node.sources.iter().cloned());
        let mut patch = Patch::new(graph);
        patch.remove(before_id);
        patch.remove(id);
        patch.node(fused);
        Some(patch)
    }
}

fn through_pool(
    graph: &Graph,
    id: NodeId,
    node: &Node,
    pool_id: NodeId,
    pool: &Node,
) -> Option<Patch> {
    let source = pool.inputs[0];
    let (_, before) = graph.producer(source)?;
    if !graph.is_private(source) || before.op.clamp().is_none() {
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
