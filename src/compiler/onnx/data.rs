//! The elements of tensors in a file.

use tract_onnx::pb::{self, tensor_proto::DataType};

use crate::ir::{DType, Data, Role, Tensor};

/// Bytes of one element, none for types that are not used.
pub(crate) fn element_bytes(data_type: i32) -> Option<u64> {
    match DataType::try_from(data_type).ok()? {
        DataType::Float | DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        DataType::Int16 => Some(2),
        DataType::Int8 | DataType::Uint8 | DataType::Bool => Some(1),
        _ => None,
    }
}

/// The name of an element type, for messages.
pub(crate) fn type_name(data_type: i32) -> String {
    match DataType::try_from(data_type) {
        Ok(known) => known.as_str_name().to_lowercase(),
        Err(_) => format!("number {data_type}"),
    }
}

/// A checked tensor as a constant. Integers of 32 and 64 bits are shapes and axes.
pub(crate) fn constant(name: &str, tensor: &pb::TensorProto) -> Tensor {
    let shape: Vec<usize> = tensor
        .dims
        .iter()
        .map(|&extent| usize::try_from(extent).unwrap_or(0))
        .collect();
    if let Some(values) = integers(tensor) {
        return Tensor::constant_i64(name, shape, values);
    }
    let small = |dtype, data| Tensor {
        dtype,
        role: Role::Constant(data),
        ..Tensor::activation(name, shape.clone())
    };
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int16) => small(DType::I16, Data::I16(narrow(tensor).into())),
        Ok(DataType::Bool) => small(DType::Bool, Data::I8(bytes(tensor, 0).into())),
        Ok(DataType::Int8) => small(DType::I8, Data::I8(bytes(tensor, 0).into())),
        // Unsigned values are stored less 128.
        Ok(DataType::Uint8) => small(DType::I8, Data::I8(bytes(tensor, 0x80).into())),
        _ => Tensor::constant(name, shape, floats(tensor)),
    }
}

fn bytes(tensor: &pb::TensorProto, flip: u8) -> Vec<i8> {
    let one = |byte: u8| (byte ^ flip).cast_signed();
    if tensor.raw_data.is_empty() {
        let low = |v: &i32| one(v.to_le_bytes()[0]);
        return tensor.int32_data.iter().map(low).collect();
    }
    tensor.raw_data.iter().map(|&byte| one(byte)).collect()
}

fn narrow(tensor: &pb::TensorProto) -> Vec<i16> {
    if tensor.raw_data.is_empty() {
        let low = |v: &i32| i16::from_le_bytes([v.to_le_bytes()[0], v.to_le_bytes()[1]]);
        return tensor.int32_data.iter().map(low).collect();
    }
    let pairs = tensor.raw_data.as_chunks::<2>().0;
    pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
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
fn integers(tensor: &pb::TensorProto) -> Option<Vec<i64>> {
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
