//! Affine maps (batch norm, constant factors and offsets) fold into the weights around them.

use super::affine_map::Map;
use crate::ir::{Clamp, Graph, Node, NodeId, Patch, Rule, Tensor};

/// See the module.
pub(super) struct FoldAffine;

impl Rule for FoldAffine {
    fn name(&self) -> &'static str {
        "fold-affine"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let map = Map::of(graph, node)?;
        backwards(graph, id, node, &map).or_else(|| forwards(graph, id, node, &map))
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
fn backwards(graph: &Graph, id: NodeId, node: &Node, map: &Map) -> Option<Patch> {
    let x = node.inputs[0];
    let (before_id, before) = graph.producer(x)?;
    if !graph.is_private(x) || graph.tensor(x).is_imported() {
        return None;
    }
    if let Some(first) = Map::of(graph, before) {
        return composed(graph, [(before_id, before), (id, node)], &first, map);
    }
    let filters = before.op.filters()?;
    let limits = map.limits(before.op.clamp().unwrap_or(Clamp::NONE))?;
    let (w, b) = (
        graph.tensor(*before.inputs.get(1)?),
        graph.tensor(*before.inputs.get(2)?),
    );
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    if !map.is_uniform() && bias.len() != map.width() {
        return None;
    }
    let packed = weights
        .iter()
        .enumerate()
        .map(|(index, &value)| {
            let (scale, _) = map.at(filters.output(&w.shape, index))?;
            Some((f64::from(value) * scale) as f32)
        })
        .collect::<Option<_>>()?;
    let bias = bias
        .iter()
        .enumerate()
        .map(|(channel, &value)| {
            let (scale, offset) = map.at(channel)?;
            Some((f64::from(value) * scale + offset) as f32)
        })
        .collect::<Option<_>>()?;
    let op = match limits.is_none() {
        true => before.op.clone(),
        false => before.op.with_clamp(limits)?,
    };
    let mut patch = Patch::new(graph);
    patch.remove(before_id);
    patch.remove(id);
    let w = patch.tensor(Tensor::constant(&w.name, w.shape.clone(), packed));
    let b = patch.tensor(Tensor::constant(&b.name, b.shape.clone(), bias));
    patch.node(Node {
        op,
        inputs: vec![before.inputs[0], w, b],
        outputs: node.outputs.clone(),
        sources: joined(before, node),
    });
    Some(patch)
}

/// Two maps as one.
fn composed(
    graph: &Graph,
    [(first_id, first), (second_id, second)]: [(NodeId, &Node); 2],
    one: &Map,
    two: &Map,
) -> Option<Patch> {
    if !one.is_unlimited() {
        return None;
    }
    let both = one.then(two)?;
    let mut patch = Patch::new(graph);
    patch.remove(first_id);
    patch.remove(second_id);
    let (op, constants) = both.operation(&mut patch)?;
    patch.node(Node {
        op,
        inputs: [vec![first.inputs[0]], constants].concat(),
        outputs: second.outputs.clone(),
        sources: joined(first, second),
    });
    Some(patch)
}

/// Into the operation after. Padding is not mapped, so where it reads some 0 has to stay 0.
fn forwards(graph: &Graph, id: NodeId, node: &Node, map: &Map) -> Option<Patch> {
    let y = node.outputs[0];
    let mut last = y;
    let (after_id, after) = loop {
        if !graph.is_private(last) || graph.tensor(last).is_imported() {
            return None;
        }
        let after_id = *graph.consumers(last).first()?;
        let after = graph.node(after_id)?;
        // Elements in another order are mapped alike.
        if !map.is_uniform() || !super::is_move(&after.op) {
            break (after_id, after);
        }
        last = Graph::only_output(after)?;
    };
    let filters = after.op.filters()?;
    if !map.is_unlimited()
        || after.inputs.first() != Some(&last)
        || after.op.is_padded() && !map.keeps_zero()
    {
        return None;
    }
    let (w, b) = (
        graph.tensor(*after.inputs.get(1)?),
        graph.tensor(*after.inputs.get(2)?),
    );
    if !map.is_uniform() && filters.inputs(&w.shape) != map.width() {
        return None;
    }
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    let mut packed = Vec::with_capacity(weights.len());
    let mut sums: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
    for (index, &value) in weights.iter().enumerate() {
        let (scale, offset) = map.at(filters.input(&w.shape, index))?;
        packed.push((f64::from(value) * scale) as f32);
        *sums.get_mut(filters.output(&w.shape, index))? += f64::from(value) * offset;
    }
    let mut patch = Patch::new(graph);
    patch.remove(id);
    patch.remove(after_id);
    let bias = sums.into_iter().map(|sum| sum as f32).collect();
    let w = patch.tensor(Tensor::constant(&w.name, w.shape.clone(), packed));
    let b = patch.tensor(Tensor::constant(&b.name, b.shape.clone(), bias));
    let x = match last == y {
        true => node.inputs[0],
        false => {
            patch.replace(y, node.inputs[0]);
            last
        }
    };
    patch.node(Node {
        op: after.op.clone(),
        inputs: vec![x, w, b],
        outputs: after.outputs.clone(),
        sources: joined(node, after),
    });
    Some(patch)
}
