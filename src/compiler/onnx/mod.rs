//! ONNX files as decoded: what the check, the importer and messages need of them.

mod data;

use std::collections::HashSet;

use tinsmith_build_job::{CompileError, ModelError, Problem};
use tract_onnx::pb::{self, tensor_shape_proto::dimension};

pub(crate) use data::{constant, element_bytes, floats, type_name};

/// Most elements of a tensor.
pub(crate) const MAX_ELEMENTS: u64 = 1 << 28;
/// Highest rank of a tensor.
pub(crate) const MAX_RANK: usize = 6;

/// A file that passed the check.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// The decoded file; nodes in an order in which each comes after those it depends on.
    pub model: pb::ModelProto,
    /// Version of the standard operator set.
    pub opset: i64,
    /// Nodes that can't be imported, and why.
    pub faults: Vec<ModelError>,
    /// What these nodes would give.
    pub lost: HashSet<String>,
}

/// The error that tells of faults in nodes.
pub(crate) fn told(faults: &[ModelError]) -> Option<CompileError> {
    match faults {
        [] => None,
        [fault] => Some(CompileError::Model(Box::new(fault.clone()))),
        faults => Some(CompileError::Nodes {
            nodes: faults.to_vec(),
        }),
    }
}

/// Text of the file, shortened for a message.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// A node's name, or its first output's.
pub(crate) fn node_name(node: &pb::NodeProto) -> String {
    match node.name.as_str() {
        "" => clip(node.output.first().map_or("", String::as_str)),
        name => clip(name),
    }
}

/// The shape of a graph input, if it is fixed.
pub(crate) fn input_shape(input: &pb::ValueInfoProto) -> Option<Vec<usize>> {
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return None;
    };
    let extents = tensor.shape.as_ref()?.dim.iter();
    extents
        .map(|dim| match dim.value {
            Some(dimension::Value::DimValue(value)) => usize::try_from(value).ok(),
            _ => None,
        })
        .collect()
}

/// Refuses a computed shape that is too large or has no element. `tensor` is the name for the message.
pub(crate) fn check_shape(tensor: &str, shape: &[usize]) -> Result<(), Problem> {
    let text = || (clip(tensor), format!("{shape:?}"));
    let elements = shape
        .iter()
        .try_fold(1_u64, |n, &extent| n.checked_mul(extent as u64));
    if shape.len() > MAX_RANK || elements.is_none_or(|n| n > MAX_ELEMENTS) {
        let (tensor, shape) = text();
        return Err(Problem::TensorTooLarge { tensor, shape });
    }
    if elements == Some(0) {
        let (tensor, shape) = text();
        return Err(Problem::DynamicShape { tensor, shape });
    }
    Ok(())
}
