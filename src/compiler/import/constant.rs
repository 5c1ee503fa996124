//! Constant: a tensor, or a number or list of numbers.

use super::{Importer, NodeView};
use crate::ir::Tensor;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let name = node.output();
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
        cx.graph.add_tensor(constant)
    };
    cx.names.insert(name.to_owned(), tensor);
    Ok(())
}
