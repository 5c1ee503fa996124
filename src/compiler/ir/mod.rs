//! The intermediate representation: tensors, nodes, and patches that rewrite them.
//!
//! A tensor has a shape, a layout, an element type, a quantization and a role; a node has n
//! outputs and names the ONNX nodes it came from. Spatial operators read and write channels-last
//! tensors of rank 4 (`[batch, height, width, channel]`); a 1-D model has height 1. Moves between
//! ONNX order and that order are explicit [`Op::Reshape`] and [`Op::Transpose`] nodes, which the
//! layout pass cancels or absorbs.

pub(crate) mod eval;
pub(crate) mod op;
pub(crate) mod patch;

use std::sync::Arc;

pub(crate) use op::{Clamp, Function, Op, Window};
pub(crate) use patch::{Patch, Rule, rewrite};

/// Index of a tensor in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TensorId(pub(crate) usize);

/// Index of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "part of the representation that no importer makes yet"
)]
pub(crate) enum DType {
    /// Two to a byte.
    I4,
    /// Quantized activations and weights.
    I8,
    /// Quantized activations of sensitive layers.
    I16,
    /// Biases.
    I32,
    /// Before quantization.
    F32,
    /// Shapes and axes.
    I64,
    /// Masks.
    Bool,
}

/// In which order the elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row-major in the order of the ONNX file.
    Plain,
    /// Row-major with the channel last.
    ChannelsLast,
}

/// Where quantization parameters came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "part of the representation that no importer makes yet"
)]
pub(crate) enum Origin {
    /// Measured on the calibration set.
    Calibrated,
    /// Written in the model file; never changed and never fused across.
    Imported,
    /// Set by the operator, like a softmax's 1/256.
    Fixed,
}

/// Real value = (stored - zero) * scale, per tensor or per index of one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantization {
    /// One scale, or one per index of `axis`.
    pub scale: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero: Vec<i32>,
    /// The axis that the parameters run along, none for one pair for the whole tensor.
    pub axis: Option<usize>,
    /// Where they came from.
    pub origin: Origin,
}

impl Quantization {
    /// One scale and zero point for the whole tensor.
    pub(crate) fn per_tensor(scale: f32, zero: i32, origin: Origin) -> Self {
        Self {
            scale: vec![scale],
            zero: vec![zero],
            axis: None,
            origin,
        }
    }
}

/// Elements of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// 32-bit floats.
    F32(Arc<[f32]>),
    /// 64-bit integers: shapes, axes.
    I64(Arc<[i64]>),
    /// Quantized weights.
    I8(Arc<[i8]>),
    /// Quantized biases.
    I32(Arc<[i32]>),
}

/// What a tensor is for.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    dead_code,
    reason = "part of the representation that no importer makes yet"
)]
pub(crate) enum Role {
    /// Computed at run time.
    Activation,
    /// Known at compile time.
    Constant(Data),
    /// Kept from one inference to the next, with its value at reset.
    State(Data),
}

/// A value in the graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// Name in the ONNX file, or derived from one.
    pub name: String,
    /// Extents, including a batch of 1 where ONNX has one.
    pub shape: Vec<usize>,
    /// Storage order.
    pub layout: Layout,
    /// Element type.
    pub dtype: DType,
    /// Quantization, if the elements are quantized.
    pub quantization: Option<Quantization>,
    /// Activation, constant or state.
    pub role: Role,
}

impl Tensor {
    /// A float activation.
    pub(crate) fn activation(name: impl Into<String>, shape: Vec<usize>) -> Self {
        Self {
            name: name.into(),
            shape,
            layout: Layout::Plain,
            dtype: DType::F32,
            quantization: None,
            role: Role::Activation,
        }
    }

    /// A float constant.
    pub(crate) fn constant(name: impl Into<String>, shape: Vec<usize>, data: Vec<f32>) -> Self {
        Self {
            role: Role::Constant(Data::F32(data.into())),
            ..Self::activation(name, shape)
        }
    }

    /// An integer constant.
    pub(crate) fn constant_i64(name: impl Into<String>, shape: Vec<usize>, data: Vec<i64>) -> Self {
        Self {
            dtype: DType::I64,
            role: Role::Constant(Data::I64(data.into())),
            ..Self::activation(name, shape)
        }
    }

    /// Number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The floats of a constant.
    pub(crate) fn f32s(&self) -> Option<&[f32]> {
        match &self.role {
            Role::Constant(Data::F32(data)) => Some(data),
            _ => None,
        }
    }

    /// The integers of a constant.
    pub(crate) fn i64s(&self) -> Option<&[i64]> {
        match &self.role {
            Role::Constant(Data::I64(data)) => Some(data),
            _ => None,
        }
    }

    /// Whether the value is known at compile time.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self.role, Role::Constant(_))
    }
}

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

    /// Whether the tensor is a graph output.
    pub(crate) fn is_output(&self, id: TensorId) -> bool {
        self.outputs.iter().any(|port| port.tensor == id)
    }

    /// Whether exactly one node reads the tensor and the outside does not see it.
    pub(crate) fn is_private(&self, id: TensorId) -> bool {
        self.consumers[id.0].len() == 1 && !self.is_output(id)
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
