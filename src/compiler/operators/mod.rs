//! What is known of each operator: one file each. To add one, write its file, declare it and add its
//! line to the list.
//!
//! A file holds how ONNX nodes are imported, what the compiler needs to know of the operation they
//! become ([`Operator`](crate::ir::Operator)), or both: several ONNX operators become one operation,
//! and some operations have no ONNX operator of their own.

mod add;
mod affine;
mod average_pool;
mod batch_normalization;
mod clip;
mod concat;
mod constant;
mod conv;
mod depthwise_conv;
mod div;
mod elementwise;
mod flatten;
mod fully_connected;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod linear;
mod mat_mul;
mod max_pool;
mod moves;
mod mul;
mod packed;
mod pad;
mod pool;
mod reduce_max;
mod reduce_mean;
mod relu;
mod rescale;
mod reshape;
mod sigmoid;
mod softmax;
mod squeeze;
mod store;
mod sub;
mod tanh;
mod transpose;
mod window;

#[cfg(test)]
mod made_up;

use crate::import::OnnxOperator;

pub(crate) use add::Add;
pub(crate) use affine::Affine;
pub(crate) use average_pool::AveragePool;
pub(crate) use clip::Limit;
pub(crate) use concat::Concat;
pub(crate) use conv::Conv;
pub(crate) use depthwise_conv::DepthwiseConv;
pub(crate) use fully_connected::FullyConnected;
pub(crate) use linear::Linear;
pub(crate) use max_pool::MaxPool;
pub(crate) use mul::Mul;
pub(crate) use pad::Pad;
pub(crate) use rescale::Rescale;
pub(crate) use reshape::Reshape;
pub(crate) use softmax::Softmax;
pub(crate) use store::Store;
pub(crate) use sub::Sub;
#[cfg(test)]
pub(crate) use tanh::Tanh;
pub(crate) use transpose::{Transpose, transposed};

/// The ONNX operators of each file.
const ALL: &[&[OnnxOperator]] = &[
    add::ONNX,
    average_pool::ONNX,
    batch_normalization::ONNX,
    clip::ONNX,
    concat::ONNX,
    constant::ONNX,
    conv::ONNX,
    div::ONNX,
    flatten::ONNX,
    gemm::ONNX,
    global_average_pool::ONNX,
    global_max_pool::ONNX,
    identity::ONNX,
    mat_mul::ONNX,
    max_pool::ONNX,
    mul::ONNX,
    pad::ONNX,
    reduce_max::ONNX,
    reduce_mean::ONNX,
    relu::ONNX,
    reshape::ONNX,
    sigmoid::ONNX,
    softmax::ONNX,
    squeeze::ONNX,
    sub::ONNX,
    tanh::ONNX,
    transpose::ONNX,
    #[cfg(test)]
    made_up::ONNX,
];

/// The ONNX operator of this name.
pub(crate) fn find(name: &str) -> Option<&'static OnnxOperator> {
    ALL.iter()
        .flat_map(|file| file.iter())
        .find(|operator| operator.name == name)
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
    let mut names: Vec<&str> = ALL
        .iter()
        .flat_map(|file| file.iter().map(|operator| operator.name))
        .collect();
    names.sort_unstable();
    format!("{rewrite} (supported: {})", names.join(", "))
}
