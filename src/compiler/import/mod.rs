//! From a checked ONNX file to the intermediate representation: one file per operator.
//!
//! Structure, attributes and constants come from the protobuf, shapes from tract's typed graph.
//! Every ONNX tensor keeps its name, shape and order; operators that work on channels-last
//! tensors are wrapped in moves, which the layout pass removes.

mod add;
mod average_pool;
mod batch_normalization;
mod clip;
mod concat;
mod constant;
mod conv;
mod div;
mod flatten;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod mat_mul;
mod max_pool;
mod moves;
mod mul;
mod node;
mod pad;
mod reduce_max;
mod reduce_mean;
mod relu;
mod reshape;
mod sigmoid;
mod softmax;
mod squeeze;
mod sub;
mod tanh;
mod transpose;
mod window;

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use tract_onnx::pb;

use super::check::{self, Checked};
use super::ir::{Data, Graph, Node, Op, Port, Role, Tensor, TensorId, eval};
use super::oracle::Typed;
use node::NodeView;
use tinsmith_build_job::{CompileError, ModelError, Problem};

type Import = fn(&mut Importer<'_>, &NodeView<'_>) -> Result<(), Problem>;

/// An operator that the importer knows.
pub(crate) struct Operator {
    /// ONNX name.
    pub name: &'static str,
    /// How many inputs it may have.
    pub inputs: RangeInclusive<usize>,
    import: Import,
}

const fn known(name: &'static str, inputs: RangeInclusive<usize>, import: Import) -> Operator {
    Operator {
        name,
        inputs,
        import,
    }
}

/// Every operator that can be imported, by name.
pub(crate) const OPERATORS: &[Operator] = &[
    known("Add", 2..=2, add::import),
    known("AveragePool", 1..=1, average_pool::import),
    known("BatchNormalization", 5..=5, batch_normalization::import),
    known("Clip", 1..=3, clip::import),
    known("Concat", 1..=64, concat::import),
    known("Constant", 0..=0, constant::import),
    known("Conv", 2..=3, conv::import),
    known("Div", 2..=2, div::import),
    known("Dropout", 1..=3, identity::import),
    known("Flatten", 1..=1, flatten::import),
    known("Gemm", 2..=3, gemm::import),
    known("GlobalAveragePool", 1..=1, global_average_pool::import),
    known("GlobalMaxPool", 1..=1, global_max_pool::import),
    known("Identity", 1..=1, identity::import),
    known("MatMul", 2..=2, mat_mul::import),
    known("MaxPool", 1..=1, max_pool::import),
    known("Mul", 2..=2, mul::import),
    known("Pad", 1..=4, pad::import),
    known("ReduceMax", 1..=2, reduce_max::import),
    known("ReduceMean", 1..=2, reduce_mean::import),
    known("Relu", 1..=1, relu::import),
    known("Reshape", 2..=2, reshape::import),
    known("Sigmoid", 1..=1, sigmoid::import),
    known("Softmax", 1..=1, softmax::import),
    known("Squeeze", 1..=2, squeeze::import),
    known("Sub", 2..=2, sub::import),
    known("Tanh", 1..=1, tanh::import),
    known("Transpose", 1..=1, transpose::import),
    known("Unsqueeze", 1..=2, squeeze::import),
];

/// The operator of this name.
pub(crate) fn operator(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

/// What to do about an operator that is not known.
pub(crate) fn advice(name: &str) -> String {
    let rewrite = match name {
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "QLinearMatMul" => {
            "give the float model: the compiler quantizes it itself"
        }
        "GRU" | "LSTM" | "RNN" => "use a convolutional model instead",
        "HardSwish" | "HardSigmoid" | "Elu" | "Gelu" | "LeakyRelu" | "PRelu" | "Selu" => {
            "use Relu, Clip, Sigmoid or Tanh instead"
        }
        "ConvTranspose" | "Resize" | "Upsample" => "use Reshape and Gemm to grow a tensor",
        "LRN" | "InstanceNormalization" | "LayerNormalization" | "GroupNormalization" => {
            "use BatchNormalization instead"
        }
        "Shape" | "Gather" | "Expand" | "ConstantOfShape" | "Range" | "Cast" => {
            "simplify the model before export (onnxsim), with fixed shapes"
        }
        "If" | "Loop" | "Scan" => "control flow can't be compiled",
        _ => "replace it by one of the supported operators",
    };
    let names: Vec<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
    format!("{rewrite} (supported: {})", names.join(", "))
}

/// Largest constant that is computed while importing, in elements.
const MAX_FOLDED: usize = 1 << 24;

/// A graph under construction.
pub(crate) struct Importer<'a> {
    typed: &'a Typed,
    opset: i64,
    graph: Graph,
    names: HashMap<String, TensorId>,
    bound: HashSet<TensorId>,
    source: String,
    folded: usize,
}

/// An imported model.
pub(crate) struct Imported {
    /// Its graph.
    pub graph: Graph,
    /// The ONNX names of computed tensors, in the order of the file.
    pub names: Vec<(String, TensorId)>,
}

/// Builds the graph of a checked file.
pub(crate) fn import(
    model: &str,
    checked: &Checked,
    typed: &Typed,
) -> Result<Imported, CompileError> {
    let at = |node: Option<&pb::NodeProto>, problem| {
        CompileError::Model(Box::new(ModelError {
            model: model.into(),
            node: node.map(check::node_name),
            operator: node.map(|node| check::clip(&node.op_type)),
            problem,
        }))
    };
    let Some(proto) = checked.model.graph.as_ref() else {
        return Err(at(None, Problem::NoGraph));
    };
    let mut importer = Importer {
        typed,
        opset: checked.opset,
        graph: Graph::default(),
        names: HashMap::new(),
        bound: HashSet::new(),
        source: String::new(),
        folded: 0,
    };
    for tensor in &proto.initializer {
        let id = importer.constant_proto(&tensor.name, tensor);
        importer.names.insert(tensor.name.clone(), id);
    }
    for input in &proto.input {
        if importer.names.contains_key(&input.name) {
            continue;
        }
        let Some(shape) = typed.shape(&input.name).map(<[usize]>::to_vec) else {
            let (tensor, shape) = (check::clip(&input.name), "unknown".into());
            return Err(at(None, Problem::DynamicShape { tensor, shape }));
        };
        let tensor = importer
            .graph
            .add_tensor(Tensor::activation(&input.name, shape.clone()));
        importer.names.insert(input.name.clone(), tensor);
        let port = port(&input.name, shape, tensor);
        importer.graph.inputs.push(port);
    }
    for node in &proto.node {
        let Some(operator) = operator(&node.op_type) else {
            let advice = advice(&node.op_type);
            return Err(at(Some(node), Problem::UnknownOperator { advice }));
        };
        importer.source = check::node_name(node);
        let first = importer.graph.node_capacity();
        (operator.import)(&mut importer, &NodeView::new(node))
            .map_err(|problem| at(Some(node), problem))?;
        importer.fold(first);
    }
    for output in &proto.output {
        let Some(&tensor) = importer.names.get(&output.name) else {
            let tensor = check::clip(&output.name);
            return Err(at(None, Problem::NotProduced { tensor }));
        };
        if importer.graph.tensor(tensor).role != Role::Activation {
            let what = "the model's output does not depend on its input; export it again".into();
            return Err(at(None, Problem::Unsupported { what }));
        }
        let shape = importer.graph.tensor(tensor).shape.clone();
        let port = port(&output.name, shape, tensor);
        importer.graph.outputs.push(port);
    }
    let names = proto
        .node
        .iter()
        .filter_map(|node| {
            let name = node.output.first()?;
            let &id = importer.names.get(name)?;
            (!importer.graph.tensor(id).is_constant()).then(|| (name.clone(), id))
        })
        .collect();
    Ok(Imported {
        graph: importer.graph,
        names,
    })
}

fn port(name: &str, shape: Vec<usize>, tensor: TensorId) -> Port {
    let elements = shape.iter().product::<usize>();
    let order = (0..u32::try_from(elements).unwrap_or(u32::MAX)).collect();
    Port {
        name: name.into(),
        shape,
        tensor,
        order,
    }
}

impl Importer<'_> {
    fn constant_proto(&mut self, name: &str, tensor: &pb::TensorProto) -> TensorId {
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&d| usize::try_from(d).unwrap_or(0))
            .collect();
        let constant = match check::integers(tensor) {
            Some(values) => Tensor::constant_i64(name, shape, values),
            None => Tensor::constant(name, shape, check::floats(tensor)),
        };
        self.graph.add_tensor(constant)
    }

    /// The tensor that is input `index` of the node.
    fn input(&self, node: &NodeView<'_>, index: usize) -> Result<TensorId, Problem> {
        let name = node.input(index);
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| Problem::NotProduced {
                tensor: check::clip(name),
            })
    }

    /// The tensor that is input `index`, if the node has it.
    fn optional(&self, node: &NodeView<'_>, index: usize) -> Result<Option<TensorId>, Problem> {
        if node.input(index).is_empty() {
            Ok(None)
        } else {
            self.input(node, index).map(Some)
        }
    }

    fn shape(&self, tensor: TensorId) -> &[usize] {
        &self.graph.tensor(tensor).shape
    }

    /// The floats of a constant input, with its shape.
    fn floats(
        &self,
        node: &NodeView<'_>,
        index: usize,
        what: &str,
    ) -> Result<(Vec<f32>, Vec<usize>), Problem> {
        let tensor = self.graph.tensor(self.input(node, index)?);
        match tensor.f32s() {
            Some(values) => Ok((values.to_vec(), tensor.shape.clone())),
            None => Err(Problem::Unsupported {
                what: format!(
                    "its {what} ({}) must be constant float32 data in the file",
                    check::clip(&tensor.name)
                ),
            }),
        }
    }

    /// The integers of a constant input.
    fn integers(
        &self,
        node: &NodeView<'_>,
        index: usize,
        what: &str,
    ) -> Result<Option<Vec<i64>>, Problem> {
        let Some(id) = self.optional(node, index)? else {
            return Ok(None);
        };
        if let Some(values) = self.graph.tensor(id).i64s() {
            return Ok(Some(values.to_vec()));
        }
        match self.typed.integers(node.input(index)) {
            Some(values) => Ok(Some(values.to_vec())),
            None => Err(Problem::Unsupported {
                what: format!("its {what} must be constant; export with fixed shapes"),
            }),
        }
    }

    /// The shape of the node's output, if tract knows it and it has the rank of the input.
    fn known_shape(&self, node: &NodeView<'_>) -> Result<Option<Vec<usize>>, Problem> {
        if self.typed.shape(node.output()).is_none() {
            return Ok(None);
        }
        let shape = self.output_shape(node)?;
        let rank = self.shape(self.input(node, 0)?).len();
        Ok((shape.len() == rank).then_some(shape))
    }

    /// The shape of the node's output, by tract.
    fn output_shape(&self, node: &NodeView<'_>) -> Result<Vec<usize>, Problem> {
        let name = node.output();
        let Some(shape) = self.typed.shape(name) else {
            let shape = "not known before it runs".into();
            return Err(Problem::DynamicShape {
                tensor: check::clip(name),
                shape,
            });
        };
        let elements = shape
            .iter()
            .try_fold(1_u64, |n, &d| n.checked_mul(d as u64));
        if shape.len() > check::MAX_RANK || elements.is_none_or(|n| n > check::MAX_ELEMENTS) {
            let (tensor, shape) = (check::clip(name), format!("{shape:?}"));
            return Err(Problem::TensorTooLarge { tensor, shape });
        }
        if shape.contains(&0) {
            let (tensor, shape) = (check::clip(name), format!("{shape:?}"));
            return Err(Problem::DynamicShape { tensor, shape });
        }
        Ok(shape.to_vec())
    }

    /// Adds a constant.
    fn constant(&mut self, suffix: &str, shape: Vec<usize>, data: Vec<f32>) -> TensorId {
        let name = format!("{}.{suffix}", self.source);
        self.graph.add_tensor(Tensor::constant(name, shape, data))
    }

    /// Adds a node with one output of this shape.
    fn emit(&mut self, op: Op, inputs: Vec<TensorId>, shape: Vec<usize>) -> TensorId {
        let name = format!("{}.{}", self.source, op.name());
        let output = self.graph.add_tensor(Tensor::activation(name, shape));
        let sources = vec![self.source.clone()];
        self.graph.add_node(Node {
            op,
            inputs,
            outputs: vec![output],
            sources,
        });
        output
    }

    /// Makes `tensor` the node's output; its shape must be what tract says.
    fn bind(&mut self, node: &NodeView<'_>, tensor: TensorId) -> Result<(), Problem> {
        let name = node.output().to_owned();
        if let Some(expected) = self.typed.shape(&name)
            && expected != self.shape(tensor)
        {
            let detail = format!("computed {:?}, inferred {expected:?}", self.shape(tensor));
            return Err(Problem::Shapes { detail });
        }
        if self.graph.producer(tensor).is_some() && self.bound.insert(tensor) {
            self.graph.tensor_mut(tensor).name.clone_from(&name);
        }
        self.names.insert(name, tensor);
        Ok(())
    }

    /// Computes the nodes added since `first` if they read only constants.
    fn fold(&mut self, first: usize) {
        for index in first..self.graph.node_capacity() {
            let id = super::ir::NodeId(index);
            let Some(node) = self.graph.node(id) else {
                continue;
            };
            let elements: usize = node
                .outputs
                .iter()
                .map(|&o| self.graph.tensor(o).elements())
                .sum();
            if node.inputs.is_empty()
                || self.folded + elements > MAX_FOLDED
                || !node
                    .inputs
                    .iter()
                    .all(|&i| self.graph.tensor(i).f32s().is_some())
            {
                continue;
            }
            let output = node.outputs[0];
            let Some(values) = eval::constant(&self.graph, node) else {
                continue;
            };
            self.folded += elements;
            self.graph.remove_node(id);
            self.graph.tensor_mut(output).role = Role::Constant(Data::F32(values.into()));
        }
    }
}
