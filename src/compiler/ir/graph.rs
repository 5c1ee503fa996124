//! Graphs: tensors, the nodes between them, and what the outside sees.

use std::sync::Arc;

use super::{Op, Tensor};

/// Index of a tensor in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TensorId(pub(crate) usize);

/// Index of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// What it does.
    pub op: Op,
    /// Operands, activations first, then weights and bias.
    pub inputs: Vec<TensorId>,
    /// Results.
    pub outputs: Vec<TensorId>,
    /// Names of the ONNX nodes it came from, in their order.
    pub sources: Vec<String>,
}

/// One end of the graph as the outside sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    /// Name in the ONNX file.
    pub name: String,
    /// Shape in the ONNX file, with batch.
    pub shape: Vec<usize>,
    /// The tensor that holds the stored elements.
    pub tensor: TensorId,
    /// For each stored element its index in ONNX order.
    pub order: Arc<[u32]>,
    /// How the outside's values are stored, where it is not by the tensor's quantization.
    pub steps: Option<Steps>,
}

/// Stored bytes as steps of the outside's values: `x = (byte - zero) * scale` for each index of the
/// last axis as stored, or for all. The tensor holds `byte - at`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Steps {
    /// Size of a step, one or as many as the last axis is long.
    pub scale: Vec<f32>,
    /// Bytes that stand for 0, of 32 bits, as many as scales.
    pub zero: Vec<i32>,
    /// The zero point of the tensor.
    pub at: i32,
}

impl Steps {
    /// Scale and zero point of a stored element.
    pub(crate) fn of(&self, index: usize) -> (f32, i32) {
        let at = index.checked_rem(self.scale.len()).unwrap_or(0);
        let scale = self.scale.get(at).copied().unwrap_or(1.0);
        (scale, self.zero.get(at).copied().unwrap_or(0))
    }

    /// Factors and offsets that make the outside's values of the tensor's.
    pub(crate) fn to_outside(&self) -> Vec<(f64, f64)> {
        let pairs = self.scale.iter().zip(&self.zero);
        pairs
            .map(|(&scale, &zero)| {
                let scale = f64::from(scale);
                (scale, f64::from(self.at - zero) * scale)
            })
            .collect()
    }
}

/// A value that outlives a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The tensor that nodes read, with the role of a state.
    pub tensor: TensorId,
    /// The tensor whose elements it takes when a run is over.
    pub next: TensorId,
}

/// A model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    tensors: Vec<Tensor>,
    nodes: Vec<Option<Node>>,
    producer: Vec<Option<NodeId>>,
    consumers: Vec<Vec<NodeId>>,
    /// Graph inputs.
    pub inputs: Vec<Port>,
    /// Graph outputs.
    pub outputs: Vec<Port>,
    /// What is kept from one run to the next.
    pub states: Vec<State>,
}

impl Port {
    /// One end in ONNX order.
    pub(crate) fn new(name: &str, shape: Vec<usize>, tensor: TensorId) -> Self {
        let elements = shape.iter().product::<usize>();
        Self {
            name: name.into(),
            shape,
            tensor,
            order: (0..u32::try_from(elements).unwrap_or(u32::MAX)).collect(),
            steps: None,
        }
    }

    /// Values in ONNX order in the order in which they are stored; 0 for those that are missing.
    pub(crate) fn outside(&self, values: &[f32]) -> impl Iterator<Item = f32> {
        self.order
            .iter()
            .map(|&index| values.get(index as usize).copied().unwrap_or(0.0))
    }

    /// Values in ONNX order as the tensor holds them.
    pub(crate) fn stored(&self, values: &[f32]) -> impl Iterator<Item = f32> {
        let steps = self.steps.as_ref();
        self.outside(values).enumerate().map(move |(index, x)| {
            let Some(steps) = steps else { return x };
            let (scale, zero) = steps.of(index);
            (f64::from(x) / f64::from(scale) + f64::from(zero - steps.at)) as f32
        })
    }

    /// Stored values in ONNX order.
    pub(crate) fn onnx_order(&self, stored: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; stored.len()];
        for (&index, &value) in self.order.iter().zip(stored) {
            if let Some(place) = values.get_mut(index as usize) {
                *place = value;
            }
        }
        values
    }
}

impl Graph {
    /// Adds a tensor that nothing produces yet.
    pub(crate) fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        self.producer.push(None);
        self.consumers.push(Vec::new());
        TensorId(self.tensors.len() - 1)
    }

    /// Adds a node.
    pub(crate) fn add_node(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len());
        for &output in &node.outputs {
            self.producer[output.0] = Some(id);
        }
        for &input in &node.inputs {
            if !self.consumers[input.0].contains(&id) {
                self.consumers[input.0].push(id);
            }
        }
        self.nodes.push(Some(node));
        id
    }

    /// Takes a node out; its outputs have no producer afterwards.
    pub(crate) fn remove_node(&mut self, id: NodeId) {
        if let Some(node) = self.nodes[id.0].take() {
            for output in node.outputs {
                if self.producer[output.0] == Some(id) {
                    self.producer[output.0] = None;
                }
            }
            for input in node.inputs {
                self.consumers[input.0].retain(|&c| c != id);
            }
        }
    }

    /// The tensor with this index.
    pub(crate) fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor with this index, to change.
    pub(crate) fn tensor_mut(&mut self, id: TensorId) -> &mut Tensor {
        &mut self.tensors[id.0]
    }

    /// Number of tensors ever added.
    pub(crate) fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// The node with this index, none if it was removed.
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0).and_then(Option::as_ref)
    }

    /// Number of node indices ever given out.
    pub(crate) fn node_capacity(&self) -> usize {
        self.nodes.len()
    }

    /// The node that computes a tensor.
    pub(crate) fn producer(&self, id: TensorId) -> Option<(NodeId, &Node)> {
        let node = self.producer[id.0]?;
        Some((node, self.nodes[node.0].as_ref()?))
    }

    /// The nodes that read a tensor.
    pub(crate) fn consumers(&self, id: TensorId) -> &[NodeId] {
        &self.consumers[id.0]
    }

    /// Whether the tensor is read when a run is over: as a graph output or as the next value of a
    /// state.
    pub(crate) fn is_kept(&self, id: TensorId) -> bool {
        self.outputs.iter().any(|port| port.tensor == id)
            || self.states.iter().any(|state| state.next == id)
    }

    /// Whether exactly one node reads the tensor, and nothing else does.
    pub(crate) fn is_private(&self, id: TensorId) -> bool {
        self.consumers[id.0].len() == 1 && !self.is_kept(id)
    }

    /// The one tensor that a node gives, none if it gives several.
    pub(crate) fn only_output(node: &Node) -> Option<TensorId> {
        match *node.outputs {
            [output] => Some(output),
            _ => None,
        }
    }

    /// Shapes of the tensors.
    pub(crate) fn shapes(&self, ids: &[TensorId]) -> Vec<&[usize]> {
        ids.iter()
            .map(|&id| self.tensor(id).shape.as_slice())
            .collect()
    }

    /// Number of values that the outside gives for one run, all inputs together.
    pub(crate) fn sample_size(&self) -> usize {
        self.inputs.iter().map(|port| port.order.len()).sum()
    }

    /// The tensors of the inputs, with what a sample, which holds the values of all inputs one after
    /// another, has for each.
    pub(crate) fn parts<'s>(&self, sample: &'s [f32]) -> Vec<(&Port, &'s [f32])> {
        let mut rest = sample;
        self.inputs
            .iter()
            .map(|port| {
                let (part, tail) = rest.split_at(port.order.len().min(rest.len()));
                rest = tail;
                (port, part)
            })
            .collect()
    }

    /// Makes everything that reads `old` read `new`.
    pub(crate) fn replace_tensor(&mut self, old: TensorId, new: TensorId) {
        for consumer in std::mem::take(&mut self.consumers[old.0]) {
            if let Some(node) = self.nodes[consumer.0].as_mut() {
                for input in &mut node.inputs {
                    if *input == old {
                        *input = new;
                    }
                }
            }
            if !self.consumers[new.0].contains(&consumer) {
                self.consumers[new.0].push(consumer);
            }
        }
        for port in &mut self.outputs {
            if port.tensor == old {
                port.tensor = new;
            }
        }
        for state in &mut self.states {
            if state.next == old {
                state.next = new;
            }
        }
    }

    /// Live nodes, each after the producers of its inputs; stable by index.
    pub(crate) fn order(&self) -> Vec<NodeId> {
        let mut state = vec![0_u8; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut stack = Vec::new();
        for start in 0..self.nodes.len() {
            stack.push((start, false));
            while let Some((index, done)) = stack.pop() {
                let Some(node) = self.nodes[index].as_ref() else {
                    continue;
                };
                if done {
                    order.push(NodeId(index));
                    continue;
                }
                if state[index] != 0 {
                    continue;
                }
                state[index] = 1;
                stack.push((index, true));
                for input in node.inputs.iter().rev() {
                    if let Some(producer) = self.producer[input.0]
                        && state[producer.0] == 0
                    {
                        stack.push((producer.0, false));
                    }
                }
            }
        }
        order
    }
}
