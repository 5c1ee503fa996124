//! The float evaluator: the same result on every machine.
//!
//! Sums run in a fixed order in f32 without fused multiply-add, and functions come from the libm
//! crate. Calibration and everything derived from it rest on this.

use super::{Graph, Node, NodeId, Operands, Prepared, TensorId};

/// Runs a graph on samples, one at a time.
pub(crate) struct Evaluator<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    prepared: Vec<Prepared>,
    values: Vec<Vec<f32>>,
}

impl<'g> Evaluator<'g> {
    /// Prepares a graph, with its states at their reset values.
    pub(crate) fn new(graph: &'g Graph) -> Self {
        let order = graph.order();
        let values: Vec<Vec<f32>> = (0..graph.tensor_count())
            .map(|index| initial(graph, TensorId(index)))
            .collect();
        let prepared = order
            .iter()
            .filter_map(|&id| graph.node(id))
            .map(|node| node.op.prepare(&operands(graph, node, &values)))
            .collect();
        Self {
            graph,
            order,
            prepared,
            values,
        }
    }

    /// Computes every tensor from one sample: the values of all inputs in ONNX order, one input
    /// after another.
    pub(crate) fn run(&mut self, sample: &[f32]) {
        for (port, part) in self.graph.parts(sample) {
            let stored = &mut self.values[port.tensor.0];
            stored.clear();
            stored.extend(port.stored(part));
        }
        for (&id, prepared) in self.order.iter().zip(&self.prepared) {
            let Some(node) = self.graph.node(id) else {
                continue;
            };
            let mut results: Vec<Vec<f32>> = node
                .outputs
                .iter()
                .map(|&output| {
                    let mut result = std::mem::take(&mut self.values[output.0]);
                    result.clear();
                    result.resize(self.graph.tensor(output).elements(), 0.0);
                    result
                })
                .collect();
            let operands = operands(self.graph, node, &self.values);
            node.op.evaluate(prepared, &operands, &mut results);
            for (&output, result) in node.outputs.iter().zip(results) {
                self.values[output.0] = result;
            }
        }
        let next: Vec<Vec<f32>> = self
            .graph
            .states
            .iter()
            .map(|state| self.values[state.next.0].clone())
            .collect();
        for (state, next) in self.graph.states.iter().zip(next) {
            self.values[state.tensor.0] = next;
        }
    }

    /// The elements of a tensor after a run, as stored; those of a state are what the next run
    /// reads.
    pub(crate) fn value(&self, tensor: TensorId) -> &[f32] {
        operand(self.graph, &self.values, tensor)
    }

    /// The graph's outputs after a run, in ONNX order, one after another.
    pub(crate) fn output(&self) -> Vec<f32> {
        self.graph
            .outputs
            .iter()
            .flat_map(|port| port.onnx_order(self.value(port.tensor)))
            .collect()
    }
}

/// What a tensor holds before the first run. Constants that are floats stay where they are.
fn initial(graph: &Graph, id: TensorId) -> Vec<f32> {
    let tensor = graph.tensor(id);
    match tensor.f32s() {
        Some(_) => Vec::new(),
        None => tensor.real().unwrap_or_default().into_owned(),
    }
}

fn operand<'a>(graph: &'a Graph, values: &'a [Vec<f32>], id: TensorId) -> &'a [f32] {
    let computed = || values.get(id.0).map_or(&[][..], Vec::as_slice);
    graph.tensor(id).f32s().unwrap_or_else(computed)
}

fn operands<'a>(graph: &'a Graph, node: &Node, values: &'a [Vec<f32>]) -> Operands<'a> {
    let shape = |id: TensorId| graph.tensor(id).shape.as_slice();
    Operands {
        inputs: node
            .inputs
            .iter()
            .map(|&id| (operand(graph, values, id), shape(id)))
            .collect(),
        outputs: node.outputs.iter().map(|&id| shape(id)).collect(),
    }
}

/// Computes a node whose inputs are all float constants: each output.
pub(crate) fn constant(graph: &Graph, node: &Node) -> Vec<Vec<f32>> {
    let operands = operands(graph, node, &[]);
    let mut results: Vec<Vec<f32>> = node
        .outputs
        .iter()
        .map(|&id| vec![0.0; graph.tensor(id).elements()])
        .collect();
    let prepared = node.op.prepare(&operands);
    node.op.evaluate(&prepared, &operands, &mut results);
    results
}
