//! Rewriting: a rule looks at the graph and proposes a patch; only the driver changes the graph.

use std::sync::Arc;

use super::{Graph, Node, NodeId, Tensor, TensorId};

/// A change to the graph.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    base: usize,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    remove: Vec<NodeId>,
    replace: Vec<(TensorId, TensorId)>,
    inputs: Vec<(usize, TensorId, Arc<[u32]>)>,
    outputs: Vec<(usize, TensorId, Arc<[u32]>)>,
}

impl Patch {
    /// An empty patch for this graph.
    pub(crate) fn new(graph: &Graph) -> Self {
        Self {
            base: graph.tensor_count(),
            ..Self::default()
        }
    }

    /// A new tensor; its id is valid once the patch is applied.
    pub(crate) fn tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        TensorId(self.base + self.tensors.len() - 1)
    }

    /// A new node.
    pub(crate) fn node(&mut self, node: Node) {
        self.nodes.push(node);
    }

    /// Takes a node out.
    pub(crate) fn remove(&mut self, id: NodeId) {
        self.remove.push(id);
    }

    /// Makes readers of `old` read `new`.
    pub(crate) fn replace(&mut self, old: TensorId, new: TensorId) {
        self.replace.push((old, new));
    }

    /// Makes `tensor` the graph input `port`, stored in `order`.
    pub(crate) fn input(&mut self, port: usize, tensor: TensorId, order: Arc<[u32]>) {
        self.inputs.push((port, tensor, order));
    }

    /// Makes `tensor` the graph output `port`, stored in `order`.
    pub(crate) fn output(&mut self, port: usize, tensor: TensorId, order: Arc<[u32]>) {
        self.outputs.push((port, tensor, order));
    }

    /// Changes the graph.
    pub(crate) fn apply(self, graph: &mut Graph) {
        for tensor in self.tensors {
            graph.add_tensor(tensor);
        }
        for id in self.remove {
            graph.remove_node(id);
        }
        for (port, tensor, order) in self.outputs {
            graph.outputs[port].tensor = tensor;
            graph.outputs[port].order = order;
        }
        for (old, new) in self.replace {
            graph.replace_tensor(old, new);
        }
        for (port, tensor, order) in self.inputs {
            graph.inputs[port].tensor = tensor;
            graph.inputs[port].order = order;
        }
        for node in self.nodes {
            graph.add_node(node);
        }
    }
}

/// A rewriting rule.
pub(crate) trait Rule {
    /// Name for logs.
    fn name(&self) -> &'static str;

    /// The patch for this node, or none if the rule has no opinion.
    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch>;
}

/// Applies the rules until none has anything to say. Returns how many patches were applied, or
/// the name of the rule that did not come to rest.
pub(crate) fn rewrite(graph: &mut Graph, rules: &[&dyn Rule]) -> Result<usize, &'static str> {
    let mut applied = 0;
    let limit = 64 * (graph.node_capacity() + 16);
    loop {
        let before = applied;
        let mut index = 0;
        while index < graph.node_capacity() {
            for rule in rules {
                let id = NodeId(index);
                let Some(node) = graph.node(id) else { break };
                if let Some(patch) = rule.rewrite(graph, id, node) {
                    patch.apply(graph);
                    applied += 1;
                    if applied > limit {
                        return Err(rule.name());
                    }
                }
            }
            index += 1;
        }
        if applied == before {
            return Ok(applied);
        }
    }
}
