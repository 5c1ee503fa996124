//! Moves disappear into the order of weights and into the stored order of inputs and outputs.

use super::{is_move, permutation, trace_moves};
use crate::ir::{Graph, Move, Node, NodeId, Op, Patch, Port, Rule, Tensor, TensorId};
use crate::operators::{FullyConnected, Reshape, Transpose};

/// A transposition of the graph's input becomes the order in which the input is stored.
pub(super) struct AbsorbInput;

/// The first transposition that the tensor reaches through operations that it can pass.
fn transposition_below(graph: &Graph, tensor: TensorId, depth: usize) -> Option<Vec<usize>> {
    for &consumer in graph.consumers(tensor) {
        let Some(node) = graph.node(consumer) else {
            continue;
        };
        if let Some(Transpose { perm }) = node.op.get() {
            return Some(perm.clone());
        }
        let Some(output) = Graph::only_output(node).filter(|_| depth < 4) else {
            continue;
        };
        let others = node.inputs.iter().skip(1);
        let alone = others.clone().all(|&id| graph.tensor(id).is_constant());
        if let Some(perm) = transposition_below(graph, output, depth + 1) {
            let by = Move {
                perm: Some(&perm),
                from: &graph.tensor(tensor).shape,
                to: &graph.tensor(tensor).shape,
                all: others.count() == 0,
            };
            if alone && perm.len() == by.from.len() && node.op.before_move(&by).is_some() {
                return Some(perm);
            }
        }
    }
    None
}

impl Rule for AbsorbInput {
    fn name(&self) -> &'static str {
        "absorb-input"
    }

    fn rewrite(&self, graph: &Graph, _: NodeId, node: &Node) -> Option<Patch> {
        let mut ports = graph.inputs.iter().enumerate();
        ports.find_map(|(index, port)| {
            let read = node.inputs.contains(&port.tensor);
            read.then(|| absorb_input(graph, index, port)).flatten()
        })
    }
}

fn absorb_input(graph: &Graph, index: usize, port: &Port) -> Option<Patch> {
    // Once is enough, and absorbing the inverse again would never end.
    if !port.order.is_sorted() || port.steps.is_some() {
        return None;
    }
    let perm = transposition_below(graph, port.tensor, 0)?;
    let input = graph.tensor(port.tensor);
    if perm.len() != input.shape.len() {
        return None;
    }
    let shape: Vec<usize> = perm.iter().map(|&p| input.shape[p]).collect();
    let op = Op::from(Transpose { perm: perm.clone() });
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
        op: Transpose { perm: inverse }.into(),
        inputs: vec![stored],
        outputs: vec![port.tensor],
        sources: Vec::new(),
    });
    Some(patch)
}

/// A move of the graph's output becomes the order in which the output is stored.
pub(super) struct AbsorbOutput;

impl Rule for AbsorbOutput {
    fn name(&self) -> &'static str {
        "absorb-output"
    }

    fn rewrite(&self, graph: &Graph, _: NodeId, node: &Node) -> Option<Patch> {
        if !is_move(&node.op) {
            return None;
        }
        let (index, port) = graph
            .outputs
            .iter()
            .enumerate()
            .find(|(_, port)| node.outputs[0] == port.tensor)?;
        let source = graph.tensor(node.inputs[0]);
        let given = graph
            .inputs
            .iter()
            .any(|port| port.tensor == node.inputs[0]);
        if given || source.is_constant() || source.is_state() {
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
        if !node.op.is::<FullyConnected>() {
            return None;
        }
        let mut chain = Vec::new();
        let mut source = node.inputs[0];
        while let Some((_, before)) = graph.producer(source) {
            if !is_move(&before.op) {
                break;
            }
            chain.push((&before.op, graph.tensor(source).shape.as_slice()));
            source = before.inputs[0];
        }
        if !chain.iter().any(|(op, _)| op.is::<Transpose>()) {
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
            op: Reshape.into(),
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
