//! A graph under construction, and what operators need to add to it.

use std::collections::{HashMap, HashSet};

use tinsmith_build_job::Problem;
use tract_onnx::pb;

use super::NodeView;
use crate::ir::{DType, Data, Graph, Node, NodeId, Op, Role, Tensor, TensorId, eval};
use crate::onnx;
use crate::oracle::Typed;

/// Largest constant that is computed while importing, in elements.
const MAX_FOLDED: usize = 1 << 24;

/// A graph under construction.
pub(crate) struct Importer<'a> {
    typed: Option<&'a Typed>,
    opset: i64,
    pub(super) graph: Graph,
    names: HashMap<String, TensorId>,
    bound: HashSet<TensorId>,
    source: String,
    first: usize,
    folded: usize,
}

impl<'a> Importer<'a> {
    pub(super) fn new(typed: Option<&'a Typed>, opset: i64) -> Self {
        Self {
            typed,
            opset,
            graph: Graph::default(),
            names: HashMap::new(),
            bound: HashSet::new(),
            source: String::new(),
            first: 0,
            folded: 0,
        }
    }

    /// What follows is for this node of the file.
    pub(super) fn begin(&mut self, node: &pb::NodeProto) {
        self.source = onnx::node_name(node);
        self.first = self.graph.node_capacity();
    }

    pub(super) fn name(&mut self, name: &str, tensor: TensorId) {
        self.names.insert(name.into(), tensor);
    }

    pub(super) fn named(&self, name: &str) -> Option<TensorId> {
        self.names.get(name).copied()
    }

    /// Version of the operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// A tensor of the graph.
    pub(crate) fn tensor(&self, id: TensorId) -> &Tensor {
        self.graph.tensor(id)
    }

    /// Adds a tensor.
    pub(crate) fn add(&mut self, tensor: Tensor) -> TensorId {
        self.graph.add_tensor(tensor)
    }

    /// Shape of a tensor.
    pub(crate) fn shape(&self, tensor: TensorId) -> &[usize] {
        &self.graph.tensor(tensor).shape
    }

    /// Adds a constant of the file.
    pub(crate) fn constant_proto(&mut self, name: &str, tensor: &pb::TensorProto) -> TensorId {
        self.add(onnx::constant(name, tensor))
    }

    /// The tensor that is input `index` of the node.
    pub(crate) fn input(&self, node: &NodeView<'_>, index: usize) -> Result<TensorId, Problem> {
        let name = node.input(index);
        self.named(name).ok_or_else(|| Problem::NotProduced {
            tensor: onnx::clip(name),
        })
    }

    /// The floats of a constant input, with its shape.
    pub(crate) fn floats(
        &self,
        node: &NodeView<'_>,
        index: usize,
        what: &str,
    ) -> Result<(Vec<f32>, Vec<usize>), Problem> {
        let tensor = self.tensor(self.input(node, index)?);
        match tensor.f32s() {
            Some(values) => Ok((values.to_vec(), tensor.shape.clone())),
            None => Err(Problem::Unsupported {
                what: format!(
                    "its {what} ({}) must be constant float32 data in the file",
                    onnx::clip(&tensor.name)
                ),
            }),
        }
    }

    /// The integers of a constant input, none if the node has no such input.
    pub(crate) fn integers(
        &self,
        node: &NodeView<'_>,
        index: usize,
        what: &str,
    ) -> Result<Option<Vec<i64>>, Problem> {
        if node.input(index).is_empty() {
            return Ok(None);
        }
        let id = self.input(node, index)?;
        if let Some(values) = self.tensor(id).i64s() {
            return Ok(Some(values.to_vec()));
        }
        match self.typed.and_then(|t| t.integers(node.input(index))) {
            Some(values) => Ok(Some(values.to_vec())),
            None => Err(Problem::Unsupported {
                what: format!("its {what} must be constant; export with fixed shapes"),
            }),
        }
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, suffix: &str, shape: Vec<usize>, data: Vec<f32>) -> TensorId {
        let name = format!("{}.{suffix}", self.source);
        self.add(Tensor::constant(name, shape, data))
    }

    /// Adds a node with one output, whose shape follows from the operation.
    pub(crate) fn emit(
        &mut self,
        op: impl Into<Op>,
        inputs: Vec<TensorId>,
    ) -> Result<TensorId, Problem> {
        let op = op.into();
        match op.shapes(&self.graph.shapes(&inputs))? {
            Some(shapes) => self.emit_as(op, inputs, shapes),
            None => Err(Problem::Shapes {
                detail: format!("{} does not tell its shape", op.name()),
            }),
        }
    }

    /// Adds a node whose outputs have these shapes. Returns the first output.
    pub(crate) fn emit_as(
        &mut self,
        op: impl Into<Op>,
        inputs: Vec<TensorId>,
        shapes: Vec<Vec<usize>>,
    ) -> Result<TensorId, Problem> {
        let op = op.into();
        let name = format!("{}.{}", self.source, op.name());
        let dtype = match inputs.first() {
            Some(&first) => self.tensor(first).dtype,
            None => DType::F32,
        };
        let mut outputs = Vec::with_capacity(shapes.len());
        for shape in shapes {
            onnx::check_shape(&self.source, &shape)?;
            outputs.push(self.add(Tensor {
                dtype,
                ..Tensor::activation(name.clone(), shape)
            }));
        }
        let Some(&first) = outputs.first() else {
            let detail = format!("{} gives nothing", op.name());
            return Err(Problem::Shapes { detail });
        };
        let sources = vec![self.source.clone()];
        self.graph.add_node(Node {
            op,
            inputs,
            outputs,
            sources,
        });
        Ok(first)
    }

    /// Makes `tensor` the node's output under its name only.
    pub(crate) fn alias(&mut self, node: &NodeView<'_>, tensor: TensorId) {
        self.name(node.output(0), tensor);
    }

    /// Makes `tensor` the node's output.
    pub(crate) fn bind(&mut self, node: &NodeView<'_>, tensor: TensorId) -> Result<(), Problem> {
        self.bind_output(node, 0, tensor)
    }

    /// Makes `tensor` an output of the node; tract, if it knows the shape, must agree.
    pub(crate) fn bind_output(
        &mut self,
        node: &NodeView<'_>,
        index: usize,
        tensor: TensorId,
    ) -> Result<(), Problem> {
        let name = node.output(index);
        if let Some(expected) = self.typed.and_then(|typed| typed.shape(name))
            && expected != self.shape(tensor)
        {
            let detail = format!("computed {:?}, inferred {expected:?}", self.shape(tensor));
            return Err(Problem::Shapes { detail });
        }
        if self.graph.producer(tensor).is_some() && self.bound.insert(tensor) {
            name.clone_into(&mut self.graph.tensor_mut(tensor).name);
        }
        self.name(name, tensor);
        Ok(())
    }

    /// Computes the nodes that were added for this node of the file if they read only constants.
    /// Nothing may work on integers when the model runs.
    pub(super) fn fold(&mut self) -> Result<(), Problem> {
        for index in self.first..self.graph.node_capacity() {
            let id = NodeId(index);
            let Some(node) = self.graph.node(id) else {
                continue;
            };
            let outputs = node.outputs.clone();
            let mut elements = outputs.iter().map(|&o| self.tensor(o).elements());
            let elements: usize = elements.by_ref().sum();
            let small = self.folded + elements <= MAX_FOLDED;
            let all = |known: &dyn Fn(&Tensor) -> bool| {
                !node.inputs.is_empty() && node.inputs.iter().all(|&i| known(self.tensor(i)))
            };
            let data: Option<Vec<Data>> = if small && all(&|t| t.f32s().is_some()) {
                let results = eval::constant(&self.graph, node).into_iter();
                Some(results.map(|values| Data::F32(values.into())).collect())
            } else if small && all(&|t| t.i64s().is_some()) {
                self.integer_results(node)
            } else {
                None
            };
            match data {
                Some(data) => {
                    self.folded += elements;
                    self.graph.remove_node(id);
                    for (output, data) in outputs.into_iter().zip(data) {
                        self.graph.tensor_mut(output).role = Role::Constant(data);
                    }
                }
                None => self.only_floats(node)?,
            }
        }
        Ok(())
    }

    fn integer_results(&self, node: &Node) -> Option<Vec<Data>> {
        let inputs: Option<Vec<(&[i64], &[usize])>> = node
            .inputs
            .iter()
            .map(|&id| Some((self.tensor(id).i64s()?, self.shape(id))))
            .collect();
        let result = node.op.integers(&inputs?)?;
        Some(vec![Data::I64(result.into())])
    }

    fn only_floats(&self, node: &Node) -> Result<(), Problem> {
        match node
            .inputs
            .iter()
            .find(|&&id| self.tensor(id).dtype != DType::F32)
        {
            None => Ok(()),
            Some(&id) => Err(Problem::Unsupported {
                what: format!(
                    "it works on {:?} data ({}) when it runs; simplify the model before export \
                     (onnxsim), with fixed shapes",
                    self.tensor(id).dtype,
                    onnx::clip(&self.tensor(id).name)
                ),
            }),
        }
    }
}
