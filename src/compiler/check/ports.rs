//! The ends of the graph.

use std::collections::HashMap;

use tinsmith_build_job::{CompileError, Problem};
use tract_onnx::pb::{self, tensor_proto::DataType, tensor_shape_proto::dimension};

use super::At;
use crate::onnx::{MAX_ELEMENTS, MAX_RANK, clip, type_name};

/// Most inputs, and most outputs, of a graph.
pub(super) const MAX_PORTS: usize = 16;

/// Inputs that are read and outputs, each with a name of its own, with static shapes. A batch that is
/// left open becomes 1.
pub(super) fn check(at: &At<'_>, graph: &mut pb::GraphProto) -> Result<(), CompileError> {
    let constants: HashMap<&str, ()> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), ()))
        .collect();
    let inputs: Vec<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .filter(|name| !constants.contains_key(name))
        .collect();
    let few = 1..=MAX_PORTS;
    if !few.contains(&inputs.len()) || !few.contains(&graph.output.len()) {
        let (inputs, outputs) = (inputs.len() as u64, graph.output.len() as u64);
        return Err(at.file(Problem::Endpoints { inputs, outputs }));
    }
    for (index, output) in graph.output.iter().enumerate() {
        if graph
            .output
            .iter()
            .take(index)
            .any(|o| o.name == output.name)
        {
            let what = format!(
                "{} is its output twice; export it again",
                clip(&output.name)
            );
            return Err(at.file(Problem::Unsupported { what }));
        }
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

/// Something reads each input.
pub(super) fn all_read(at: &At<'_>, graph: &pb::GraphProto) -> Result<(), CompileError> {
    let known = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let read = |name: &String| graph.node.iter().any(|node| node.input.contains(name));
    match graph
        .input
        .iter()
        .find(|i| !known(&i.name) && !read(&i.name))
    {
        None => Ok(()),
        Some(input) => {
            let name = clip(&input.name);
            let what = format!("nothing reads its input {name}; remove it from the model");
            Err(at.file(Problem::Unsupported { what }))
        }
    }
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
