//! Moves go down past operations that don't care about the order of elements, until they meet
//! their inverse or an end of the graph.

use super::is_move;
use crate::ir::{Graph, Move, Node, NodeId, Patch, Rule, Tensor, TensorId};
use crate::operators::Transpose;

/// See the module.
pub(super) struct SinkMoves;

impl Rule for SinkMoves {
    fn name(&self) -> &'static str {
        "sink-moves"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let output = Graph::only_output(node)?;
        let (first, others) = node.inputs.split_first()?;
        let before = moved(graph, *first)?;
        let source = graph.tensor(*before.inputs.first()?);
        let constant = |id: &TensorId| graph.tensor(*id).is_constant();
        let alone = others.iter().all(constant);
        let mut inputs = vec![before.inputs[0]];
        for other in others {
            if alone {
                inputs.push(*other);
                continue;
            }
            let same = moved(graph, *other).filter(|other| other.op == before.op)?;
            inputs.push(same.inputs[0]);
        }
        let op = node.op.before_move(&Move {
            perm: before.op.get().map(|Transpose { perm }| perm.as_slice()),
            from: &source.shape,
            to: &graph.tensor(*first).shape,
            all: !alone || others.is_empty(),
        })?;
        let shape = op.shapes(&graph.shapes(&inputs)).ok()??.pop()?;
        let mut patch = Patch::new(graph);
        patch.remove(id);
        let inner = patch.tensor(Tensor {
            shape,
            ..graph.tensor(output).clone()
        });
        patch.node(Node {
            op,
            inputs,
            outputs: vec![inner],
            sources: node.sources.clone(),
        });
        patch.node(Node {
            op: before.op.clone(),
            inputs: vec![inner],
            outputs: node.outputs.clone(),
            sources: before.sources.clone(),
        });
        Some(patch)
    }
}

/// The move that gives a tensor.
fn moved(graph: &Graph, tensor: TensorId) -> Option<&Node> {
    let (_, before) = graph.producer(tensor)?;
    is_move(&before.op).then_some(before)
}
