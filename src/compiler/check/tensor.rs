//! Constants: dense, finite, and as many as their shape says.

use tinsmith_build_job::Problem;
use tract_onnx::pb::{self, tensor_proto::DataType};

use super::shape_text;
use crate::onnx::{MAX_ELEMENTS, MAX_RANK, clip, element_bytes, floats, type_name};

pub(super) fn check(tensor: &pb::TensorProto) -> Result<(), Problem> {
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
