//! Two moves in a row become one, a move that moves nothing goes away.

use super::trace_moves;
use crate::ir::{Graph, Move, Node, NodeId, Patch, Rule, Tensor, TensorId};
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
        if before.op.is::<Reshape>() {
            return around_reshape(graph, id, node, before);
        }
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

/// Two transpositions with a change of shape between them: nothing moves, or the change adds and
/// removes axes of one element only, so that one transposition is enough.
fn around_reshape(graph: &Graph, id: NodeId, node: &Node, reshape: &Node) -> Option<Patch> {
    let y = Graph::only_output(node)?;
    let (middle, end) = (*reshape.inputs.first()?, *node.inputs.first()?);
    let (_, before) = graph.producer(middle)?;
    let Transpose { perm: first } = before.op.get()?;
    let Transpose { perm: second } = node.op.get()?;
    let source = *before.inputs.first()?;
    let shape = |id| graph.tensor(id).shape.as_slice();
    let unit = Move {
        perm: None,
        from: shape(middle),
        to: shape(end),
        all: true,
    };
    let Some(axes) = unit.axes() else {
        let moves = [&before.op, &reshape.op, &node.op];
        let shapes = [shape(middle), shape(end), shape(y)];
        let mut map = trace_moves(&moves, shape(source), &shapes).into_iter();
        if !map.by_ref().zip(0..).all(|(from, to)| from == to) {
            return None;
        }
        return Some(reshaped(graph, id, node, source));
    };
    // Axes of the source in the order of the result; those of one element may come anywhere.
    let mut perm: Vec<usize> = second
        .iter()
        .filter_map(|&axis| axes.get(axis).copied().flatten())
        .filter_map(|axis| first.get(axis).copied())
        .collect();
    if perm.is_sorted() {
        return Some(reshaped(graph, id, node, source));
    }
    let ones = (0..first.len()).filter(|axis| !perm.contains(axis));
    perm.splice(0..0, ones.collect::<Vec<_>>());
    let mut patch = Patch::new(graph);
    patch.remove(id);
    let turned = patch.tensor(Tensor {
        shape: perm.iter().map(|&axis| shape(source)[axis]).collect(),
        ..graph.tensor(y).clone()
    });
    patch.node(Node {
        op: Transpose { perm }.into(),
        inputs: vec![source],
        outputs: vec![turned],
        sources: node.sources.clone(),
    });
    patch.node(Node {
        op: Reshape.into(),
        inputs: vec![turned],
        outputs: node.outputs.clone(),
        sources: reshape.sources.clone(),
    });
    Some(patch)
}

/// The node's result as another shape of `source`.
fn reshaped(graph: &Graph, id: NodeId, node: &Node, source: TensorId) -> Patch {
    let mut patch = Patch::new(graph);
    patch.remove(id);
    patch.node(Node {
        op: Reshape.into(),
        inputs: vec![source],
        ..node.clone()
    });
    patch
}
