//! Our own check of an ONNX file, before tract or the importer sees it.
//!
//! tract panics on, or blindly accepts, some malformed files; what passes here has a bounded size,
//! only operators that the importer knows, dense and finite constants, attributes in their range,
//! and an acyclic graph in which everything that is used is produced.

use std::collections::HashMap;

use prost::Message;
use tract_onnx::pb::{self, tensor_proto::DataType, tensor_shape_proto::dimension};

use super::{import, wire};
use tinsmith_build_job::{CompileError, ModelError, Problem};

/// Largest file in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;
/// Most elements of a tensor.
pub(crate) const MAX_ELEMENTS: u64 = 1 << 28;
/// Largest kernel, stride, dilation or pad.
const MAX_WINDOW: i64 = 1 << 15;
/// Highest rank of a tensor.
pub(crate) const MAX_RANK: usize = 6;

/// A file that passed the check.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// The decoded file; nodes in an order in which each comes after those it depends on.
    pub model: pb::ModelProto,
    /// Version of the standard operator set.
    pub opset: i64,
}

/// Checks a file. `model` is the name for messages.
pub(crate) fn check(model: &str, file: &[u8]) -> Result<Checked, CompileError> {
    let at = At { model };
    if file.is_empty() {
        return Err(at.file(Problem::Empty));
    }
    if file.len() > MAX_FILE_BYTES {
        let (bytes, limit) = (file.len() as u64, MAX_FILE_BYTES as u64);
        return Err(at.file(Problem::FileTooLarge { bytes, limit }));
    }
    wire::scan(file).map_err(|problem| at.file(problem))?;
    let mut proto = pb::ModelProto::decode(file).map_err(|e| {
        at.file(Problem::Malformed {
            detail: e.to_string(),
        })
    })?;
    let opset = opset(&at, &proto)?;
    let Some(graph) = proto.graph.as_mut() else {
        return Err(at.file(Problem::NoGraph));
    };
    if graph.node.is_empty() {
        return Err(at.file(Problem::NoGraph));
    }
    for tensor in &graph.initializer {
        check_tensor(tensor).map_err(|problem| at.file(problem))?;
    }
    for node in &graph.node {
        check_node(node).map_err(|problem| at.node(node, problem))?;
    }
    check_ports(&at, graph)?;
    sort(&at, graph)?;
    Ok(Checked {
        model: proto,
        opset,
    })
}

struct At<'a> {
    model: &'a str,
}

impl At<'_> {
    fn file(&self, problem: Problem) -> CompileError {
        let error = ModelError {
            model: self.model.into(),
            node: None,
            operator: None,
            problem,
        };
        CompileError::Model(Box::new(error))
    }

    fn node(&self, node: &pb::NodeProto, problem: Problem) -> CompileError {
        CompileError::Model(Box::new(ModelError {
            model: self.model.into(),
            node: Some(node_name(node)),
            operator: Some(clip(&node.op_type)),
            problem,
        }))
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

fn opset(at: &At<'_>, proto: &pb::ModelProto) -> Result<i64, CompileError> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = proto
        .opset_import
        .iter()
        .find(|o| standard(&o.domain))
        .map_or(0, |o| o.version);
    if (9..=21).contains(&version) {
        Ok(version)
    } else if proto.graph.is_none() {
        Err(at.file(Problem::NoGraph))
    } else {
        Err(at.file(Problem::OperatorSet { version }))
    }
}

/// Bytes of one element, none for types that are not used.
fn element_bytes(data_type: i32) -> Option<u64> {
    match DataType::try_from(data_type).ok()? {
        DataType::Float | DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        DataType::Int8 | DataType::Uint8 | DataType::Bool => Some(1),
        _ => None,
    }
}

fn type_name(data_type: i32) -> String {
    match DataType::try_from(data_type) {
        Ok(known) => known.as_str_name().to_lowercase(),
        Err(_) => format!("number {data_type}"),
    }
}

fn shape_text(dims: &[i64]) -> String {
    let list: Vec<String> = dims.iter().take(8).map(i64::to_string).collect();
    format!("[{}]", list.join(","))
}

fn check_tensor(tensor: &pb::TensorProto) -> Result<(), Problem> {
    let name = || clip(&tensor.name);
    if tensor.data_location.unwrap_or(0) != 0 || !tensor.external_data.is_empty() {
        return Err(Problem::ExternalData { tensor: name() });
    }
    if tensor.segment.is_some() {
        let what = format!(
            "tensor {} is cut in segments; export it in one piece",
            name()
        );
        return Err(Problem::Unsupported { what });
    }
    let Some(size) = element_bytes(tensor.data_type) else {
        let expected = "float32 weights (int64 and int32 for shapes)".into();
        let found = type_name(tensor.data_type);
        return Err(Problem::ElementType {
            tensor: name(),
            found,
            expected,
        });
    };
    let too_large = || Problem::TensorTooLarge {
        tensor: name(),
        shape: shape_text(&tensor.dims),
    };
    let mut elements = 1_u64;
    for &dim in &tensor.dims {
        let Ok(dim) = u64::try_from(dim) else {
            let shape = shape_text(&tensor.dims);
            return Err(Problem::DynamicShape {
                tensor: name(),
                shape,
            });
        };
        elements = elements.checked_mul(dim).ok_or_else(too_large)?;
        if elements > MAX_ELEMENTS {
            return Err(too_large());
        }
    }
    if tensor.dims.len() > MAX_RANK {
        let what = "dimensions in a tensor".into();
        let (count, limit) = (tensor.dims.len() as u64, MAX_RANK as u64);
        return Err(Problem::TooMany { what, count, limit });
    }
    let found = if tensor.raw_data.is_empty() {
        size * match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) => tensor.float_data.len() as u64,
            Ok(DataType::Int64) => tensor.int64_data.len() as u64,
            _ => tensor.int32_data.len() as u64,
        }
    } else {
        tensor.raw_data.len() as u64
    };
    let expected = elements * size;
    if found != expected {
        return Err(Problem::DataLength {
            tensor: name(),
            expected,
            found,
        });
    }
    if tensor.data_type == DataType::Float as i32
        && let Some((index, value)) = floats(tensor)
            .into_iter()
            .enumerate()
            .find(|(_, value)| absurd(*value, elements))
    {
        let value = value.to_string();
        return Err(Problem::NotFinite {
            tensor: name(),
            index: index as u64,
            value,
        });
    }
    Ok(())
}

/// Whether a value would make every result NaN or infinite. A single value may be the largest
/// float: that is how exporters write "no limit".
fn absurd(value: f32, elements: u64) -> bool {
    !value.is_finite() || (elements > 1 && value.abs() > 1e15)
}

/// The floats of a checked float tensor.
pub(crate) fn floats(tensor: &pb::TensorProto) -> Vec<f32> {
    if tensor.raw_data.is_empty() {
        return tensor.float_data.clone();
    }
    tensor
        .raw_data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// The integers of a checked int64 or int32 tensor.
pub(crate) fn integers(tensor: &pb::TensorProto) -> Option<Vec<i64>> {
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int64 if tensor.raw_data.is_empty() => Some(tensor.int64_data.clone()),
        DataType::Int64 => Some(
            tensor
                .raw_data
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| i64::from_le_bytes(*b))
                .collect(),
        ),
        DataType::Int32 if tensor.raw_data.is_empty() => {
            Some(tensor.int32_data.iter().map(|&v| i64::from(v)).collect())
        }
        DataType::Int32 => Some(
            tensor
                .raw_data
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| i64::from(i32::from_le_bytes(*b)))
                .collect(),
        ),
        _ => None,
    }
}

fn check_node(node: &pb::NodeProto) -> Result<(), Problem> {
    if !(node.domain.is_empty() || node.domain == "ai.onnx") {
        return Err(Problem::ForeignDomain {
            domain: clip(&node.domain),
        });
    }
    let Some(operator) = import::operator(&node.op_type) else {
        return Err(Problem::UnknownOperator {
            advice: import::advice(&node.op_type),
        });
    };
    if !operator.inputs.contains(&node.input.len()) {
        let (lo, hi) = (operator.inputs.start(), operator.inputs.end());
        let rule = if lo == hi {
            format!("it needs {lo}")
        } else {
            format!("it takes {lo} to {hi}")
        };
        return Err(Problem::Arity {
            what: "inputs".into(),
            found: node.input.len() as u64,
            rule,
        });
    }
    let used = node.output.iter().filter(|name| !name.is_empty()).count();
    if used != 1 || node.output.first().is_none_or(String::is_empty) {
        let rule = "only the first output is supported".into();
        return Err(Problem::Arity {
            what: "outputs".into(),
            found: used as u64,
            rule,
        });
    }
    for attribute in &node.attribute {
        check_attribute(attribute)?;
    }
    Ok(())
}

fn check_attribute(attribute: &pb::AttributeProto) -> Result<(), Problem> {
    let bad = |value: String, rule: &str| {
        Err(Problem::Attribute {
            attribute: clip(&attribute.name),
            value,
            rule: rule.into(),
        })
    };
    if !attribute.ref_attr_name.is_empty() {
        return bad(
            clip(&attribute.ref_attr_name),
            "references to attributes are not supported",
        );
    }
    if let Some(tensor) = &attribute.t {
        check_tensor(tensor)?;
    }
    if let Some(value) = attribute
        .floats
        .iter()
        .chain([&attribute.f])
        .find(|v| !v.is_finite())
    {
        return bad(value.to_string(), "it must be a finite number");
    }
    let ranges = |range: std::ops::RangeInclusive<i64>, rule: &str| {
        if attribute.ints.is_empty() {
            return bad("empty".into(), rule);
        }
        match attribute.ints.iter().find(|v| !range.contains(v)) {
            Some(value) => bad(value.to_string(), rule),
            None => Ok(()),
        }
    };
    match attribute.name.as_str() {
        "strides" => ranges(1..=MAX_WINDOW, "every stride must be 1 to 32768"),
        "dilations" => ranges(1..=MAX_WINDOW, "every dilation must be 1 to 32768"),
        "kernel_shape" => ranges(
            1..=MAX_WINDOW,
            "every extent of a kernel must be 1 to 32768",
        ),
        "pads" => ranges(0..=MAX_WINDOW, "every pad must be 0 to 32768"),
        "axes" => ranges(-8..=7, "every axis must be -8 to 7"),
        "perm" => {
            let mut sorted = attribute.ints.clone();
            sorted.sort_unstable();
            if sorted.len() <= MAX_RANK && sorted.iter().zip(0..).all(|(&v, i)| v == i) {
                Ok(())
            } else {
                bad(
                    shape_text(&attribute.ints),
                    "it must be a permutation of the axes",
                )
            }
        }
        "group" if !(1..=1 << 20).contains(&attribute.i) => bad(
            attribute.i.to_string(),
            "the number of groups must be 1 to 1048576",
        ),
        "axis" if !(-8..=8).contains(&attribute.i) => {
            bad(attribute.i.to_string(), "the axis must be -8 to 8")
        }
        "ceil_mode" | "keepdims" | "count_include_pad" | "transA" | "transB"
            if !(0..=1).contains(&attribute.i) =>
        {
            bad(attribute.i.to_string(), "it must be 0 or 1")
        }
        "epsilon" if attribute.f < 0.0 => bad(attribute.f.to_string(), "it must not be negative"),
        "auto_pad"
            if !matches!(
                attribute.s.as_slice(),
                b"" | b"NOTSET" | b"SAME_UPPER" | b"SAME_LOWER" | b"VALID"
            ) =>
        {
            let value = clip(&String::from_utf8_lossy(&attribute.s));
            bad(value, "it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID")
        }
        _ => Ok(()),
    }
}

/// One input and one output with static shapes. A batch that is left open becomes 1.
fn check_ports(at: &At<'_>, graph: &mut pb::GraphProto) -> Result<(), CompileError> {
    let constants: HashMap<&str, ()> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), ()))
        .collect();
    let inputs = graph
        .input
        .iter()
        .filter(|input| !constants.contains_key(input.name.as_str()))
        .count();
    if inputs != 1 || graph.output.len() != 1 {
        let (inputs, outputs) = (inputs as u64, graph.output.len() as u64);
        return Err(at.file(Problem::Endpoints { inputs, outputs }));
    }
    let mut open_batch = false;
    let constants: Vec<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for input in &mut graph.input {
        if constants.contains(&input.name) {
            continue;
        }
        open_batch |= check_input(input).map_err(|problem| at.file(problem))?;
    }
    if open_batch {
        // Shapes that were written for an open batch contradict the fixed one.
        graph.value_info.clear();
        for output in &mut graph.output {
            output.r#type = None;
        }
    }
    Ok(())
}

fn check_input(input: &mut pb::ValueInfoProto) -> Result<bool, Problem> {
    let name = clip(&input.name);
    let dynamic = |shape: &str| Problem::DynamicShape {
        tensor: name.clone(),
        shape: shape.into(),
    };
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_mut().and_then(|t| t.value.as_mut())
    else {
        return Err(dynamic("no type given"));
    };
    if tensor.elem_type != DataType::Float as i32 {
        let found = type_name(tensor.elem_type);
        let expected = "float32 for the model's input".into();
        return Err(Problem::ElementType {
            tensor: name,
            found,
            expected,
        });
    }
    let Some(shape) = tensor.shape.as_mut() else {
        return Err(dynamic("no shape given"));
    };
    let text: Vec<String> = shape
        .dim
        .iter()
        .take(8)
        .map(|dim| match &dim.value {
            Some(dimension::Value::DimValue(value)) => value.to_string(),
            Some(dimension::Value::DimParam(name)) => clip(name),
            None => "?".into(),
        })
        .collect();
    let text = text.join(",");
    if shape.dim.is_empty() || shape.dim.len() > MAX_RANK {
        return Err(dynamic(&format!("rank {}", shape.dim.len())));
    }
    let mut open_batch = false;
    let mut elements = 1_u64;
    for (axis, dim) in shape.dim.iter_mut().enumerate() {
        match dim.value {
            Some(dimension::Value::DimValue(value)) if value > 0 => {
                elements = elements.saturating_mul(value.unsigned_abs());
            }
            Some(dimension::Value::DimValue(-1 | 0) | dimension::Value::DimParam(_)) | None
                if axis == 0 && text.contains(',') =>
            {
                dim.value = Some(dimension::Value::DimValue(1));
                open_batch = true;
            }
            _ => return Err(dynamic(&text)),
        }
    }
    if elements > MAX_ELEMENTS {
        return Err(Problem::TensorTooLarge {
            tensor: name,
            shape: text,
        });
    }
    Ok(open_batch)
}

/// Everything used is produced once and before its use; sorts the nodes if they are not in order.
fn sort(at: &At<'_>, graph: &mut pb::GraphProto) -> Result<(), CompileError> {
    let mut producer: HashMap<&str, Option<usize>> = HashMap::new();
    for tensor in &graph.initializer {
        if producer.insert(&tensor.name, None).is_some() {
            return Err(at.file(Problem::ProducedTwice {
                tensor: clip(&tensor.name),
            }));
        }
    }
    let mut inputs: Vec<&str> = Vec::new();
    for input in &graph.input {
        if inputs.contains(&input.name.as_str()) {
            return Err(at.file(Problem::ProducedTwice {
                tensor: clip(&input.name),
            }));
        }
        inputs.push(&input.name);
        producer.insert(&input.name, None);
    }
    for (index, node) in graph.node.iter().enumerate() {
        let output = node.output.first().map_or("", String::as_str);
        if producer.insert(output, Some(index)).is_some() {
            return Err(at.node(
                node,
                Problem::ProducedTwice {
                    tensor: clip(output),
                },
            ));
        }
    }
    for output in &graph.output {
        match producer.get(output.name.as_str()) {
            Some(Some(_)) => {}
            Some(None) => {
                let what = "an output of the graph is one of its inputs; there is nothing to run";
                return Err(at.file(Problem::Unsupported { what: what.into() }));
            }
            None => {
                return Err(at.file(Problem::NotProduced {
                    tensor: clip(&output.name),
                }));
            }
        }
    }
    // Depth-first, without recursion; 1 is on the path, 2 is done.
    let mut state = vec![0_u8; graph.node.len()];
    let mut order = Vec::with_capacity(graph.node.len());
    for start in 0..graph.node.len() {
        let mut stack = vec![(start, 0_usize)];
        while let Some((index, next)) = stack.pop() {
            let node = &graph.node[index];
            if next == 0 {
                if state[index] == 2 {
                    continue;
                }
                state[index] = 1;
            }
            match node.input.get(next) {
                None => {
                    state[index] = 2;
                    order.push(index);
                }
                Some(name) => {
                    stack.push((index, next + 1));
                    if name.is_empty() {
                        continue;
                    }
                    match producer.get(name.as_str()) {
                        None => {
                            return Err(at.node(node, Problem::NotProduced { tensor: clip(name) }));
                        }
                        Some(Some(before)) => match state[*before] {
                            0 => stack.push((*before, 0)),
                            1 => return Err(at.node(node, Problem::Cyclic)),
                            _ => {}
                        },
                        Some(None) => {}
                    }
                }
            }
        }
    }
    let mut nodes: Vec<Option<pb::NodeProto>> = std::mem::take(&mut graph.node)
        .into_iter()
        .map(Some)
        .collect();
    graph.node = order
        .into_iter()
        .filter_map(|index| nodes[index].take())
        .collect();
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
