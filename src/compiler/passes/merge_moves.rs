//! Two moves in a row become one, a move that moves nothing goes away.

use crate::ir::{Graph, Node, NodeId, Patch, Rule};
use crate::operators::{Reshape, Transpose};

/// See the module.
pub(super) struct MergeMoves;

impl Rule for MergeMoves {
    fn name(&self) -> &'static str {
        "merge-moves"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let (x, y) = (*node.inputs.first()?, Graph::only_output(node)?);
        let (from, to) = (&graph.tensor(x).shape, &graph.tensor(y).shape);
        let mut patch = Patch::new(graph);
        patch.remove(id);
        if node.op.is::<Reshape>() {
            if from == to {
                patch.replace(y, x);
                return Some(patch);
            }
            let (_, before) = graph.producer(x)?;
            if !before.op.is::<Reshape>() {
                return None;
            }
            patch.node(Node {
                inputs: before.inputs.clone(),
                ..node.clone()
            });
            return Some(patch);
        }
        let Transpose { perm } = node.op.get()?;
        if perm.iter().enumerate().all(|(i, &p)| i == p) {
            patch.replace(y, x);
            return Some(patch);
        }
        let long: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
        if long.is_sorted() {
            patch.node(Node {
                op: Reshape.into(),
                ..node.clone()
            });
            return Some(patch);
        }
        let (_, before) = graph.producer(x)?;
        let Transpose { perm: first } = before.op.get()?;
        let perm = perm.iter().map(|&p| first[p]).collect();
        patch.node(Node {
            op: Transpose { perm }.into(),
            inputs: before.inputs.clone(),
            ..node.clone()
        });
        Some(patch)
    }
}
