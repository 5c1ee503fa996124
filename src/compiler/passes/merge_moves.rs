//! Two moves in a row become one, a move that moves nothing goes away.

use crate::ir::{Graph, Node, NodeId, Op, Patch, Rule};

/// See the module.
pub(super) struct MergeMoves;

impl Rule for MergeMoves {
    fn name(&self) -> &'static str {
        "merge-moves"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let (x, y) = (*node.inputs.first()?, *node.outputs.first()?);
        let (from, to) = (&graph.tensor(x).shape, &graph.tensor(y).shape);
        let mut patch = Patch::new(graph);
        match &node.op {
            Op::Reshape if from == to => {
                patch.remove(id);
                patch.replace(y, x);
                Some(patch)
            }
            Op::Transpose { perm } => {
                if perm.iter().enumerate().all(|(i, &p)| i == p) {
                    patch.remove(id);
                    patch.replace(y, x);
                    return Some(patch);
                }
                let long: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
                if long.is_sorted() {
                    patch.remove(id);
                    patch.node(Node {
                        op: Op::Reshape,
                        ..node.clone()
                    });
                    return Some(patch);
                }
                let (_, before) = graph.producer(x)?;
                match &before.op {
                    Op::Transpose { perm: first } => {
                        let perm = perm.iter().map(|&p| first[p]).collect();
                        patch.remove(id);
                        patch.node(Node {
                            op: Op::Transpose { perm },
                            inputs: before.inputs.clone(),
                            ..node.clone()
                        });
                        Some(patch)
                    }
                    _ => None,
                }
            }
            Op::Reshape => {
                let (_, before) = graph.producer(x)?;
                if before.op != Op::Reshape {
                    return None;
                }
                patch.remove(id);
                patch.node(Node {
                    inputs: before.inputs.clone(),
                    ..node.clone()
                });
                Some(patch)
            }
            _ => None,
        }
    }
}
