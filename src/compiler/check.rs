//! Our own check of an ONNX file, before tract or the importer sees it.
//!
//! tract panics on, or blindly accepts, some malformed files; what passes here has a bounded size,
//! only operators that the importer knows, dense and finite constants, attributes in their range,
//! and an acyclic graph in which everything that is used is produced.

mod node;
mod order;
mod ports;
mod tensor;
pub(crate) mod wire;

use std::collections::HashSet;

use prost::Message;
use tinsmith_build_job::{CompileError, ModelError, Problem};
use tract_onnx::pb;

use crate::onnx::{Checked, clip, node_name, told};

/// Largest file in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;

/// Most faults of nodes that are collected.
const MAX_FAULTS: usize = 100;

/// Checks a file. `model` is the name for messages.
pub(crate) fn check(model: &str, file: &[u8]) -> Result<Checked, CompileError> {
    let checked = examine(model, file)?;
    match told(&checked.faults) {
        None => Ok(checked),
        Some(error) => Err(error),
    }
}

/// Checks a file; what is wrong with single nodes is in the result.
pub(crate) fn examine(model: &str, file: &[u8]) -> Result<Checked, CompileError> {
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
        tensor::check(tensor).map_err(|problem| at.file(problem))?;
    }
    let (mut faults, mut lost) = (Vec::new(), HashSet::new());
    for node in &graph.node {
        if let Err(problem) = node::check(node) {
            lost.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
            if faults.len() < MAX_FAULTS {
                faults.push(at.fault(node, problem));
            }
        }
    }
    let whole = ports::check(&at, graph)
        .and_then(|()| order::sort(&at, graph))
        .and_then(|()| ports::all_read(&at, graph));
    if let Err(error) = whole {
        return Err(told(&faults).unwrap_or(error));
    }
    Ok(Checked {
        model: proto,
        opset,
        faults,
        lost,
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
        CompileError::Model(Box::new(self.fault(node, problem)))
    }

    fn fault(&self, node: &pb::NodeProto, problem: Problem) -> ModelError {
        ModelError {
            model: self.model.into(),
            node: Some(node_name(node)),
            operator: Some(clip(&node.op_type)),
            problem,
        }
    }
}

fn opset(at: &At<'_>, proto: &pb::ModelProto) -> Result<i64, CompileError> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = proto
        .opset_import
        .iter()
        .find(|o| standard(&o.domain))
        .map_or(0, |o| o.version);
    if (9..=25).contains(&version) {
        Ok(version)
    } else if proto.graph.is_none() {
        Err(at.file(Problem::NoGraph))
    } else {
        Err(at.file(Problem::OperatorSet { version }))
    }
}

/// Extents as they are written in a message.
fn shape_text(dims: &[i64]) -> String {
    let list: Vec<String> = dims.iter().take(8).map(i64::to_string).collect();
    format!("[{}]", list.join(","))
}

#[cfg(test)]
pub(crate) mod tests;
