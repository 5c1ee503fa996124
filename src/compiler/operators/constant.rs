//! Constant: a tensor, or a number or list of numbers.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::Tensor;

pub(super) const ONNX: &[OnnxOperator] = &[known("Constant", 0..=0, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let name = node.output(0);
    let tensor = if let Some(tensor) = node.tensor("value") {
        cx.constant_proto(name, tensor)
    } else {
        let constant = if let Some(value) = node.optional_float("value_float") {
            Tensor::constant(name, vec![], vec![value])
        } else if let Some(values) = node.floats("value_floats") {
            Tensor::constant(name, vec![values.len()], values.to_vec())
        } else if let Some(values) = node.ints("value_ints") {
            Tensor::constant_i64(name, vec![values.len()], values.to_vec())
        } else {
            Tensor::constant_i64(name, vec![], vec![node.int("value_int", 0)])
        };
        cx.add(constant)
    };
    cx.alias(node, tensor);
    Ok(())
}
