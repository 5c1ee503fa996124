//! Affine maps (batch norm, constant factors and offsets) fold into the weights around them.

use crate::ir::{Graph, Node, NodeId, Op, Patch, Rule, Tensor};

/// See the module.
pub(super) struct FoldAffine;

impl Rule for FoldAffine {
    fn name(&self) -> &'static str {
        "fold-affine"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        if node.op != Op::Affine {
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
    if !graph.is_private(x) || graph.tensor(x).quantization.is_some() {
        return None;
    }
    let (w, b) = match &before.op {
        Op::Affine => {
            let (s, o) = (before.inputs[1], before.inputs[2]);
            (graph.tensor(s), graph.tensor(o))
        }
        op if op.clamp()?.is_none() && before.inputs.len() == 3 => (
            graph.tensor(before.inputs[1]),
            graph.tensor(before.inputs[2]),
        ),
        _ => return None,
    };
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    let channels = scale.len();
    if bias.len() != channels {
        return None;
    }
    // Output channels are the first axis of conv and fully connected weights, else the last.
    let first = matches!(before.op, Op::Conv { .. } | Op::FullyConnected { .. });
    let per_channel = weights.len().checked_div(channels)?;
    let channel = |index: usize| {
        if first {
            index / per_channel
        } else {
            index % channels
        }
    };
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
    let channels = scale.len();
    let (outputs, first, multiplier) = match &after.op {
        Op::Conv { window, .. } if !window.is_padded() => {
            (graph.tensor(after.inputs[1]).shape[0], true, 1)
        }
        Op::FullyConnected { .. } if graph.tensor(y).elements() == channels => {
            (graph.tensor(after.inputs[1]).shape[0], true, 1)
        }
        Op::DepthwiseConv {
            window, multiplier, ..
        } if !window.is_padded() => (channels * multiplier, false, *multiplier),
        _ => return None,
    };
    let (w, b) = (graph.tensor(after.inputs[1]), graph.tensor(after.inputs[2]));
    let (weights, bias) = (w.f32s()?, b.f32s()?);
    let per_output = weights.len().checked_div(outputs)?;
    let mut packed = Vec::with_capacity(weights.len());
    let mut sums: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
    for (index, &w) in weights.iter().enumerate() {
        let (out, input) = if first {
            (index / per_output, index % channels)
        } else {
            (index % outputs, (index % outputs) / multiplier)
        };
        packed.push((f64::from(w) * f64::from(scale[input])) as f32);
        sums[out] += f64::from(w) * f64::from(offset[input]);
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
