//! Affine maps (batch norm, constant factors and offsets) fold into the weights around them.

use crate::ir::{Clamp, Graph, Node, NodeId, Patch, Rule, Tensor};
use crate::operators::Affine;

/// See the module.
pub(super) struct FoldAffine;

impl Rule for FoldAffine {
    fn name(&self) -> &'static str {
        "fold-affine"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        if !node.op.is::<Affine>() {
            return None;
        }
        let (scale, offset) = (
            graph.tensor(node.inputs[1]).f32s()?,
            graph.tensor(node.inputs[2]).f32s()?,
        );
        backwards(graph, id, node, scale, offset)
            .or_else(|| forwards(graph, id, node, scale, offset))
    }
}

fn joined(first: &Node, second: &Node) -> Vec<String> {
    let mut sources = first.sources.clone();
    for source in &second.sources {
        if !sources.contains(source) {
            sources.push(source.clone());
        }
    }
    sources
}

/// Into the operation before.
fn backwards(
    graph: &Graph,
    id: NodeId,
    node: &Node,
    scale: &[f32],
    offset: &[f32],
) -> Option<Patch> {
    let x = node.inputs[0];
    let (before_id, before) = graph.producer(x)?;
    if !graph.is_private(x) || graph.tensor(x).is_imported() {
        return None;
    }
    let filters = before.op.filters()?;
    if !before.op.clamp().as_ref().is_none_or(Clamp::is_none) {
        return None;
    }
    let (w, b) = (
        graph.tensor(*before.inputs.get(1)?),
        graph.tensor(*before.inputs.get(2)?),
    );
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    if bias.len() != scale.len() {
        return None;
    }
    let channel = |index: usize| filters.output(&w.shape, index);
    let packed = weights
        .iter()
        .enumerate()
        .map(|(index, &w)| (f64::from(w) * f64::from(scale[channel(index)])) as f32)
        .collect();
    let bias = bias
        .iter()
        .zip(scale)
        .zip(offset)
        .map(|((&b, &s), &o)| (f64::from(b) * f64::from(s) + f64::from(o)) as f32)
        .collect();
    let mut patch = Patch::new(graph);
    patch.remove(before_id);
    patch.remove(id);
    let w = patch.tensor(Tensor::constant(&w.name, w.shape.clone(), packed));
    let b = patch.tensor(Tensor::constant(&b.name, b.shape.clone(), bias));
    patch.node(Node {
        op: before.op.clone(),
        inputs: vec![before.inputs[0], w, b],
        outputs: node.outputs.clone(),
        sources: joined(before, node),
    });
    Some(patch)
}

/// Into the operation after, if it reads no padding: padding is not mapped.
fn forwards(
    graph: &Graph,
    id: NodeId,
    node: &Node,
    scale: &[f32],
    offset: &[f32],
) -> Option<Patch> {
    let y = node.outputs[0];
    if !graph.is_private(y) {
        return None;
    }
    let after_id = *graph.consumers(y).first()?;
    let after = graph.node(after_id)?;
    let filters = after.op.filters().filter(|_| !after.op.is_padded())?;
    if graph.tensor(y).is_imported() || after.inputs.first() != Some(&y) {
        return None;
    }
    let (w, b) = (
        graph.tensor(*after.inputs.get(1)?),
        graph.tensor(*after.inputs.get(2)?),
    );
    if filters.inputs(&w.shape) != scale.len() {
        return None;
    }
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    let mut packed = Vec::with_capacity(weights.len());
    let mut sums: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
    for (index, &w_real) in weights.iter().enumerate() {
        let (out, input) = (
            filters.output(&w.shape, index),
            filters.input(&w.shape, index),
        );
        packed.push((f64::from(w_real) * f64::from(scale[input])) as f32);
        *sums.get_mut(out)? += f64::from(w_real) * f64::from(offset[input]);
    }
    let mut patch = Patch::new(graph);
    patch.remove(id);
    patch.remove(after_id);
    let bias = sums.into_iter().map(|sum| sum as f32).collect();
    let w = patch.tensor(Tensor::constant(&w.name, w.shape.clone(), packed));
    let b = patch.tensor(Tensor::constant(&b.name, b.shape.clone(), bias));
    patch.node(Node {
        op: after.op.clone(),
        inputs: vec![node.inputs[0], w, b],
        outputs: after.outputs.clone(),
        sources: joined(node, after),
    });
    Some(patch)
}
