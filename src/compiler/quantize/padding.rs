//! The constant of a Pad is a value of the tensor that is padded, so the range of that includes it
//! (numerics N7).

use crate::ir::{Clamp, Graph, Node, NodeId, Origin, Range, ScaleRule, Tensor, TensorId};
use crate::operators::{Limit, Pad};

/// Widens ranges that calibration saw. Where a scale is not calibrated, the tensor is given one of its
/// own before it is padded.
pub(crate) fn include(graph: &mut Graph, ranges: &mut Vec<Option<Range>>) {
    for id in graph.order() {
        let Some(node) = graph.node(id) else { continue };
        let Some(&Pad { value, .. }) = node.op.get() else {
            continue;
        };
        let Some(&x) = node.inputs.first() else {
            continue;
        };
        if value != 0.0 && !widen(graph, ranges, x, value) {
            own_scale(graph, ranges, id, x, value);
        }
    }
}

/// Whether the tensor has a calibrated range, which has the value now.
fn widen(graph: &Graph, ranges: &mut [Option<Range>], x: TensorId, value: f32) -> bool {
    let (mut tensor, mut value) = (x, value);
    loop {
        let fixed = graph.tensor(tensor).quantization.as_ref();
        if fixed.is_some_and(|q| q.origin != Origin::Calibrated) {
            return false;
        }
        let producer = graph.producer(tensor).map(|(_, node)| node);
        let before = |index: usize| producer.and_then(|node| node.inputs.get(index)).copied();
        match producer.map_or(ScaleRule::Calibrated, |node| node.op.scale_rule()) {
            ScaleRule::OfInput(index) => match before(index) {
                Some(input) => tensor = input,
                None => return false,
            },
            ScaleRule::Scaled { input, factor } => match before(input) {
                Some(input) => (tensor, value) = (input, value / factor),
                None => return false,
            },
            ScaleRule::Fixed { .. } => return false,
            ScaleRule::Calibrated => break,
        }
    }
    let Some(seen) = ranges.get(tensor.0).copied().flatten() else {
        return false;
    };
    let wide = with(seen, value);
    // Some operations tell their range themselves.
    let told = graph.producer(tensor).map_or(wide, |(_, node)| {
        let index = node.outputs.iter().position(|&output| output == tensor);
        node.op.range(index.unwrap_or(0), wide)
    });
    if told.lo > value || told.hi < value {
        return false;
    }
    ranges[tensor.0] = Some(wide);
    true
}

fn with(range: Range, value: f32) -> Range {
    Range {
        lo: range.lo.min(value),
        hi: range.hi.max(value),
    }
}

fn own_scale(
    graph: &mut Graph,
    ranges: &mut Vec<Option<Range>>,
    pad: NodeId,
    x: TensorId,
    value: f32,
) {
    let Some(mut node) = graph.node(pad).cloned() else {
        return;
    };
    let Some(seen) = ranges.get(x.0).copied().flatten() else {
        return;
    };
    let copy = graph.add_tensor(Tensor {
        quantization: None,
        ..graph.tensor(x).clone()
    });
    ranges.resize(graph.tensor_count(), None);
    ranges[copy.0] = Some(with(seen, value));
    graph.remove_node(pad);
    graph.add_node(Node {
        op: Limit { clamp: Clamp::NONE }.into(),
        inputs: vec![x],
        outputs: vec![copy],
        sources: node.sources.clone(),
    });
    node.inputs[0] = copy;
    graph.add_node(node);
}
