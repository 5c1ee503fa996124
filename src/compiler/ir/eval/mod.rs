//! The float evaluator: the same result on every machine.
//!
//! Sums run in a fixed order in f32 without fused multiply-add, and functions come from the libm
//! crate. Calibration and everything derived from it rest on this.

mod concat;
mod conv;
mod depthwise_conv;
mod elementwise;
mod pad;
mod pool;
mod softmax;
pub(crate) mod transpose;

use super::{Graph, Node, NodeId, Op, Role, TensorId};

/// What is computed once per node, before the first sample.
enum Prepared {
    Nothing,
    Conv(conv::Packed),
}

/// Runs a graph on samples, one at a time.
pub(crate) struct Evaluator<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    prepared: Vec<Prepared>,
    values: Vec<Vec<f32>>,
}

impl<'g> Evaluator<'g> {
    /// Prepares a graph.
    pub(crate) fn new(graph: &'g Graph) -> Self {
        let order = graph.order();
        let prepared = order
            .iter()
            .filter_map(|&id| graph.node(id))
            .map(|node| prepare(graph, node))
            .collect();
        let values = (0..graph.tensor_count()).map(|_| Vec::new()).collect();
        Self {
            graph,
            order,
            prepared,
            values,
        }
    }

    /// Computes every tensor from one sample in ONNX order.
    pub(crate) fn run(&mut self, sample: &[f32]) {
        if let Some(port) = self.graph.inputs.first() {
            let stored = &mut self.values[port.tensor.0];
            stored.clear();
            stored.extend(
                port.order
                    .iter()
                    .map(|&i| sample.get(i as usize).copied().unwrap_or(0.0)),
            );
        }
        for (&id, prepared) in self.order.iter().zip(&self.prepared) {
            let Some(node) = self.graph.node(id) else {
                continue;
            };
            let output = node.outputs[0];
            let mut result = std::mem::take(&mut self.values[output.0]);
            result.clear();
            result.resize(self.graph.tensor(output).elements(), 0.0);
            compute(self.graph, node, prepared, &self.values, &mut result);
            self.values[output.0] = result;
        }
    }

    /// The elements of a tensor after a run, as stored.
    pub(crate) fn value(&self, tensor: TensorId) -> &[f32] {
        operand(self.graph, &self.values, tensor)
    }

    /// The graph's output after a run, in ONNX order.
    pub(crate) fn output(&self) -> Vec<f32> {
        let Some(port) = self.graph.outputs.first() else {
            return Vec::new();
        };
        let stored = self.value(port.tensor);
        let mut output = vec![0.0; stored.len()];
        for (&index, &value) in port.order.iter().zip(stored) {
            if let Some(place) = output.get_mut(index as usize) {
                *place = value;
            }
        }
        output
    }
}

/// Computes a node whose inputs are all float constants.
pub(crate) fn constant(graph: &Graph, node: &Node) -> Option<Vec<f32>> {
    let output = *node.outputs.first()?;
    let mut result = vec![0.0; graph.tensor(output).elements()];
    compute(graph, node, &prepare(graph, node), &[], &mut result);
    Some(result)
}

fn operand<'a>(graph: &'a Graph, values: &'a [Vec<f32>], id: TensorId) -> &'a [f32] {
    match &graph.tensor(id).role {
        Role::Constant(_) => graph.tensor(id).f32s().unwrap_or_default(),
        _ => values.get(id.0).map_or(&[], Vec::as_slice),
    }
}

fn prepare(graph: &Graph, node: &Node) -> Prepared {
    let weights = |index: usize| graph.tensor(node.inputs[index]).f32s().unwrap_or_default();
    match &node.op {
        Op::Conv { .. } | Op::FullyConnected { .. } => {
            let outputs = graph.tensor(node.inputs[1]).shape[0];
            Prepared::Conv(conv::Packed::new(weights(1), weights(2), outputs))
        }
        _ => Prepared::Nothing,
    }
}

fn compute(graph: &Graph, node: &Node, prepared: &Prepared, values: &[Vec<f32>], out: &mut [f32]) {
    let get = |index: usize| operand(graph, values, node.inputs[index]);
    let shape = |index: usize| graph.tensor(node.inputs[index]).shape.as_slice();
    let out_shape = graph.tensor(node.outputs[0]).shape.as_slice();
    match &node.op {
        Op::Conv { window, clamp } => {
            if let Prepared::Conv(packed) = prepared {
                conv::run(packed, window, get(0), shape(0), out, out_shape);
            }
            elementwise::clamp(clamp, out);
        }
        Op::FullyConnected { clamp } => {
            if let Prepared::Conv(packed) = prepared {
                packed.pixel(&[get(0)], out);
            }
            elementwise::clamp(clamp, out);
        }
        Op::DepthwiseConv {
            window,
            multiplier,
            clamp,
        } => {
            let (weights, bias) = (get(1), get(2));
            let io = (get(0), shape(0), out_shape);
            depthwise_conv::run(window, *multiplier, weights, bias, io, out);
            elementwise::clamp(clamp, out);
        }
        Op::Affine => elementwise::affine(get(0), get(1), get(2), out),
        Op::Add { clamp } => elementwise::binary(get(0), get(1), clamp, out, |a, b| a + b),
        Op::Sub { clamp } => elementwise::binary(get(0), get(1), clamp, out, |a, b| a - b),
        Op::Mul { clamp } => elementwise::binary(get(0), get(1), clamp, out, |a, b| a * b),
        Op::Map(function) => elementwise::map(function, get(0), out),
        Op::MaxPool { window } => pool::max(window, get(0), shape(0), out, out_shape),
        Op::AveragePool {
            window,
            include_pad,
        } => {
            pool::average(window, *include_pad, get(0), shape(0), out, out_shape);
        }
        Op::Softmax => softmax::run(get(0), shape(0), out),
        Op::Concat { axis } => {
            let inputs: Vec<_> = (0..node.inputs.len()).map(|i| (get(i), shape(i))).collect();
            concat::run(&inputs, *axis, out);
        }
        Op::Pad { before, value, .. } => {
            pad::run(before, *value, get(0), shape(0), out, out_shape);
        }
        Op::Reshape => out.copy_from_slice(get(0)),
        Op::Transpose { perm } => transpose::run(perm, get(0), shape(0), out),
    }
}
