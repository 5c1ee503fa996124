//! Moves disappear into the order of weights and into the stored order of inputs and outputs.

use super::{permutation, trace_moves};
use crate::ir::{Graph, Node, NodeId, Op, Patch, Rule, Tensor, TensorId};

/// A transposition of the graph's input becomes the order in which the input is stored.
pub(super) struct AbsorbInput;

/// The first transposition that the tensor reaches through operations that moves can pass.
fn transposition_below(graph: &Graph, tensor: TensorId, depth: usize) -> Option<Vec<usize>> {
    for &consumer in graph.consumers(tensor) {
        let Some(node) = graph.node(consumer) else {
            continue;
        };
        match &node.op {
            Op::Transpose { perm } => return Some(perm.clone()),
            Op::Map(_) | Op::Affine | Op::Pad { .. } if depth < 4 => {
                if let Some(perm) = transposition_below(graph, node.outputs[0], depth + 1) {
                    return Some(perm);
                }
            }
            _ => {}
        }
    }
    None
}

impl Rule for AbsorbInput {
    fn name(&self) -> &'static str {
        "absorb-input"
    }

    fn rewrite(&self, graph: &Graph, _: NodeId, node: &Node) -> Option<Patch> {
        let (index, port) = graph
            .inputs
            .iter()
            .enumerate()
            .find(|(_, port)| node.inputs.contains(&port.tensor))?;
        // Once is enough, and absorbing the inverse again would never end.
        if !port.order.is_sorted() {
            return None;
        }
        let perm = transposition_below(graph, port.tensor, 0)?;
        let input = graph.tensor(port.tensor);
        if perm.len() != input.shape.len() {
            return None;
        }
        let shape: Vec<usize> = perm.iter().map(|&p| input.shape[p]).collect();
        let op = Op::Transpose { perm: perm.clone() };
        let map = trace_moves(&[&op], &input.shape, &[&shape]);
        if map.is_sorted() {
            return None;
        }
        let order: Vec<u32> = map.iter().map(|&k| port.order[k as usize]).collect();
        let mut inverse = vec![0; perm.len()];
        for (to, &from) in perm.iter().enumerate() {
            inverse[from] = to;
        }
        let mut patch = Patch::new(graph);
        let stored = patch.tensor(Tensor {
            shape,
            ..input.clone()
        });
        patch.input(index, stored, order.into());
        patch.node(Node {
            op: Op::Transpose { perm: inverse },
            inputs: vec![stored],
            outputs: vec![port.tensor],
            sources: Vec::new(),
        });
        Some(patch)
    }
}

/// A move of the graph's output becomes the order in which the output is stored.
pub(super) struct AbsorbOutput;

impl Rule for AbsorbOutput {
    fn name(&self) -> &'static str {
        "absorb-output"
    }

    fn rewrite(&self, graph: &Graph, _: NodeId, node: &Node) -> Option<Patch> {
        if !matches!(node.op, Op::Reshape | Op::Transpose { .. }) {
            return None;
        }
        let (index, port) = graph
            .outputs
            .iter()
            .enumerate()
            .find(|(_, port)| node.outputs[0] == port.tensor)?;
        let source = graph.tensor(node.inputs[0]);
        if graph
            .inputs
            .iter()
            .any(|port| port.tensor == node.inputs[0])
            || source.is_constant()
        {
            return None;
        }
        let shape = graph.tensor(port.tensor).shape.as_slice();
        let map = trace_moves(&[&node.op], &source.shape, &[shape]);
        let mut order = vec![0; map.len()];
        for (k, &from) in map.iter().enumerate() {
            order[from as usize] = port.order[k];
        }
        permutation(&port.shape, &order)?;
        let mut patch = Patch::new(graph);
        patch.output(index, node.inputs[0], order.into());
        Some(patch)
    }
}

/// A transposition before a fully connected layer becomes the order of its weights.
pub(super) struct AbsorbIntoFullyConnected;

impl Rule for AbsorbIntoFullyConnected {
    fn name(&self) -> &'static str {
        "absorb-into-fully-connected"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        if !matches!(node.op, Op::FullyConnected { .. }) {
            return None;
        }
        let mut chain = Vec::new();
        let mut source = node.inputs[0];
        while let Some((_, before)) = graph.producer(source) {
            if !matches!(before.op, Op::Reshape | Op::Transpose { .. }) {
                break;
            }
            chain.push((&before.op, graph.tensor(source).shape.as_slice()));
            source = before.inputs[0];
        }
        if !chain
            .iter()
            .any(|(op, _)| matches!(op, Op::Transpose { .. }))
        {
            return None;
        }
        chain.reverse();
        let (ops, shapes): (Vec<&Op>, Vec<&[usize]>) = chain.into_iter().unzip();
        let map = trace_moves(&ops, &graph.tensor(source).shape, &shapes);
        let weights = graph.tensor(node.inputs[1]);
        let (old, columns) = (weights.f32s()?, map.len());
        let mut packed = vec![0.0; old.len()];
        for (row, out) in old.chunks(columns).zip(packed.chunks_mut(columns)) {
            for (value, &to) in row.iter().zip(&map) {
                out[to as usize] = *value;
            }
        }
        let mut patch = Patch::new(graph);
        patch.remove(id);
        let flat = patch.tensor(graph.tensor(node.inputs[0]).clone());
        let w = patch.tensor(Tensor::constant(
            &weights.name,
            weights.shape.clone(),
            packed,
        ));
        patch.node(Node {
            op: Op::Reshape,
            inputs: vec![source],
            outputs: vec![flat],
            sources: Vec::new(),
        });
        patch.node(Node {
            inputs: vec![flat, w, node.inputs[2]],
            ..node.clone()
        });
        Some(patch)
    }
}
