//! What can go wrong in a build, by who is at fault.

use serde::{Deserialize, Serialize};

use crate::Misfit;

/// Why a build ended without a module.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum CompileError {
    /// The ONNX file breaks a rule or asks for what the compiler can't do.
    #[error("{}", .0.sentence())]
    Model(Box<ModelError>),
    /// Several nodes of the ONNX file can't be compiled: all that can be told at once.
    #[error("{}", sentences(.nodes))]
    Nodes {
        /// Each node, and what is wrong with it.
        nodes: Vec<ModelError>,
    },
    /// Calibration or test data don't belong to the model.
    #[error("data for model '{model}': {problem}")]
    Data {
        /// Name of the model in the request.
        model: String,
        /// What is wrong with the data and what is expected.
        problem: String,
    },
    /// The model was understood but too little of it is left in int8.
    #[error(
        "model {model} loses too much in int8: {}; --allow-low-sqnr (allow_low_sqnr over HTTP) \
         builds it all the same", .findings.join("; ")
    )]
    LowSqnr {
        /// Name of the model in the request.
        model: String,
        /// Each layer and output whose signal to noise is too low, and why.
        findings: Vec<String>,
    },
    /// The model was understood but the device is too small or lacks something.
    #[error("model {model} does not fit {target}: {}", join(.missing))]
    DoesNotFit {
        /// Name of the model in the request.
        model: String,
        /// Platform name of the target.
        target: String,
        /// Everything that is missing.
        missing: Vec<Misfit>,
    },
    /// The child process that compiles was stopped or died.
    #[error("compiling {model} was stopped: {reason}")]
    Child {
        /// Name of the model in the request.
        model: String,
        /// Which limit was hit.
        reason: ChildFailure,
    },
    /// Our own fault.
    #[error("internal error while compiling {model} ({stage}): {problem}; please report this")]
    Internal {
        /// Name of the model in the request.
        model: String,
        /// Stage of the compiler.
        stage: String,
        /// What did not hold.
        problem: String,
    },
}

/// Nodes that are named in a message.
const MAX_NAMED: usize = 20;

fn sentences(errors: &[ModelError]) -> String {
    let model = errors.first().map_or("", |error| error.model.as_str());
    let mut text = format!("model {model}: {} nodes can't be compiled", errors.len());
    for (at, error) in errors.iter().take(MAX_NAMED).enumerate() {
        text.push_str(if at == 0 { ": " } else { "; " });
        text.push_str(&error.place_and_problem());
    }
    if errors.len() > MAX_NAMED {
        text.push_str("; ...");
    }
    text
}

fn join(missing: &[Misfit]) -> String {
    missing
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// How the compiling child process ended when it did not answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildFailure {
    /// The time limit.
    #[error(
        "it took longer than {seconds} s; use a smaller model or fewer calibration samples, or \
         raise the limit (compile --limit, serve --compile-limit)"
    )]
    TimedOut {
        /// The limit in seconds.
        seconds: u64,
    },
    /// The memory limit.
    #[error("it needed more than {mebibytes} MiB of memory; use a smaller model")]
    OutOfMemory {
        /// The limit in MiB.
        mebibytes: u64,
    },
    /// A crash, by exit code or signal.
    #[error("the compiler crashed ({how}); the file is malformed or the compiler has a bug")]
    Crashed {
        /// Exit code or signal.
        how: String,
    },
    /// The process could not be started or spoken to.
    #[error("the compiler process could not be run: {why}")]
    NotStarted {
        /// The system's message.
        why: String,
    },
}

/// A fault in the model file, with where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelError {
    /// Name of the model in the request.
    pub model: String,
    /// Name of the ONNX node (its first output if it has no name), if one is at fault.
    pub node: Option<String>,
    /// ONNX operator of that node.
    pub operator: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

impl ModelError {
    /// The message: where, what, and what to do.
    pub fn sentence(&self) -> String {
        format!("model {}: {}", self.model, self.place_and_problem())
    }

    fn place_and_problem(&self) -> String {
        let mut text = String::new();
        match (&self.operator, &self.node) {
            (Some(op), Some(node)) => text.push_str(&format!("node {node} ({op}): ")),
            (None, Some(node)) => text.push_str(&format!("node {node}: ")),
            _ => {}
        }
        text.push_str(&self.problem.to_string());
        text
    }
}

/// What is wrong with a model file. Each message ends with what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// Zero bytes.
    #[error("the file is empty; export the model again")]
    Empty,
    /// Larger than 64 MiB.
    #[error(
        "the file has {bytes} bytes, the limit is {limit}; a microcontroller model is far smaller"
    )]
    FileTooLarge {
        /// Size found.
        bytes: u64,
        /// Size allowed.
        limit: u64,
    },
    /// Not a protobuf message, or cut off.
    #[error("the file is truncated or not ONNX ({detail}); export or copy it again")]
    Malformed {
        /// What the decoder stumbled over.
        detail: String,
    },
    /// A ModelProto without a graph.
    #[error("the file holds no graph: it is truncated or not an ONNX model; export it again")]
    NoGraph,
    /// Too many of something.
    #[error("it has {count} {what}, the limit is {limit}; simplify the model before export")]
    TooMany {
        /// What there is too many of.
        what: String,
        /// How many were found.
        count: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// An operator of ONNX that is not supported, or no operator at all.
    #[error("operator is not supported; {advice}")]
    UnknownOperator {
        /// What to use instead.
        advice: String,
    },
    /// An operator of another domain.
    #[error(
        "operator belongs to the foreign domain {domain:?}; export with standard ONNX operators only"
    )]
    ForeignDomain {
        /// The domain named by the node.
        domain: String,
    },
    /// The operator set is too old or too new.
    #[error("operator set {version} is not supported; export with operator set 9 to 25")]
    OperatorSet {
        /// The version found, 0 if none is given.
        version: i64,
    },
    /// Tensor data outside the file.
    #[error(
        "tensor {tensor} keeps its data in another file; put the weights inside with \
         onnx.save(onnx.load('model.onnx'), 'whole.onnx', save_as_external_data=False), or let \
         `tinsmith model add`, which does so where both files are"
    )]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
    },
    /// A shape that is not a fixed positive number of elements.
    #[error("tensor {tensor} has a dynamic shape ({shape}); export with fixed shapes and batch 1")]
    DynamicShape {
        /// Name of the tensor.
        tensor: String,
        /// The shape as written in the file.
        shape: String,
    },
    /// A tensor of more than 2^28 elements.
    #[error("tensor {tensor} of shape {shape} is far too large (limit 2^28 elements)")]
    TensorTooLarge {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: String,
    },
    /// Data that don't fill the shape.
    #[error(
        "tensor {tensor} needs {expected} bytes for its shape but has {found}; the file is damaged"
    )]
    DataLength {
        /// Name of the tensor.
        tensor: String,
        /// Bytes that shape and type ask for.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// An element type the compiler can't use here.
    #[error("tensor {tensor} has element type {found}; use {expected}")]
    ElementType {
        /// Name of the tensor.
        tensor: String,
        /// The type found.
        found: String,
        /// The type needed.
        expected: String,
    },
    /// A weight that is NaN, infinite or beyond any use.
    #[error(
        "tensor {tensor} holds {value} at element {index}; the training has diverged, train again"
    )]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
        /// First bad element.
        index: u64,
        /// The value found.
        value: String,
    },
    /// An attribute out of its range.
    #[error("attribute {attribute} is {value}: {rule}")]
    Attribute {
        /// Name of the attribute.
        attribute: String,
        /// The value found.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// A wrong number of inputs or outputs.
    #[error("it has {found} {what}, {rule}")]
    Arity {
        /// "inputs" or "outputs".
        what: String,
        /// How many were found.
        found: u64,
        /// How many there must be.
        rule: String,
    },
    /// A tensor that no node, initializer or input gives.
    #[error("tensor {tensor} is used but nothing produces it; the file is damaged")]
    NotProduced {
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor that is produced twice.
    #[error("tensor {tensor} is produced more than once; the file is damaged")]
    ProducedTwice {
        /// Name of the tensor.
        tensor: String,
    },
    /// Nodes that need each other's outputs.
    #[error("the graph has a cycle through this node; only feed-forward graphs can be compiled")]
    Cyclic,
    /// The graph has no input or no output, or too many.
    #[error("the graph has {inputs} inputs and {outputs} outputs; 1 to 16 of each are supported")]
    Endpoints {
        /// Graph inputs that are not initializers.
        inputs: u64,
        /// Graph outputs.
        outputs: u64,
    },
    /// A supported operator in an unsupported variant.
    #[error("{what}")]
    Unsupported {
        /// What is not supported, and what to do.
        what: String,
    },
    /// Shape inference failed.
    #[error("the shapes do not fit together: {detail}")]
    Shapes {
        /// The message of the shape inference.
        detail: String,
    },
}
