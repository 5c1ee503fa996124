//! What a build is made of and how good it is.

use serde::{Deserialize, Serialize};
use tinsmith_module::Module;

use super::backend::portable;
use super::ir::{Graph, Node, Op};
use super::metric::Measured;
use super::plan::Plan;
use super::{COMPILER_VERSION, Request};
use crate::digest::Digest;

/// The report of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// Platform name of the device it was built for.
    pub target: String,
    /// Bytes of the module.
    pub module_bytes: u64,
    /// Bytes of weights and biases in it.
    pub weights_bytes: u64,
    /// Bytes of machine code in it.
    pub code_bytes: u64,
    /// Bytes of RAM that an inference needs.
    pub arena_bytes: u64,
    /// Multiply-accumulates of an inference.
    pub macs: u64,
    /// Name of the metric: accuracy, rmse or auc; none without a test set.
    pub metric: Option<String>,
    /// The float model's, 0 to 1 for accuracy and AUC.
    pub metric_float: Option<f64>,
    /// The module's, on the same samples.
    pub metric_int8: Option<f64>,
    /// Share of samples on which both give the same class.
    pub agreement: Option<f64>,
    /// Samples that were measured.
    pub samples: u64,
    /// Milliseconds from the file to the verified module, without measuring.
    pub compile_ms: u64,
    /// SHA-256 of the ONNX file.
    pub source_digest: Digest,
    /// SHA-256 of the module.
    pub module_digest: Digest,
    /// Key that equal builds share.
    pub build_key: Digest,
    /// Name and version of the compiler.
    pub compiler: String,
    /// Kernels that the device must have, as (id, version).
    pub kernels: Vec<(u16, u16)>,
    /// One row per step of the plan.
    pub layers: Vec<LayerReport>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Name of its result.
    pub name: String,
    /// Operator.
    pub op: String,
    /// ONNX nodes that it does the work of.
    pub nodes: Vec<String>,
    /// Shape of the result as stored.
    pub shape: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of weights and biases.
    pub weights_bytes: u64,
    /// Bytes of arena in use while it runs.
    pub arena_bytes: u64,
    /// Signal to noise of the result against float, in dB; none if there is no noise.
    pub sqnr_db: Option<f64>,
}

pub(super) struct Parts<'a> {
    pub(super) request: &'a Request,
    pub(super) graph: &'a Graph,
    pub(super) plan: &'a Plan,
    pub(super) module: &'a Module<'a>,
    pub(super) weights_bytes: u64,
    pub(super) macs: u64,
    pub(super) compile_ms: u64,
    pub(super) sqnr: &'a [Option<f64>],
    pub(super) measured: Option<Measured>,
}

pub(super) fn report(parts: &Parts<'_>) -> Report {
    let Parts {
        request,
        graph,
        plan,
        module,
        measured,
        ..
    } = parts;
    let layers = plan
        .steps
        .iter()
        .enumerate()
        .filter_map(|(step, &id)| Some((step, graph.node(id)?)))
        .map(|(step, node)| LayerReport {
            name: graph.tensor(node.outputs[0]).name.clone(),
            op: node.op.name().into(),
            nodes: node.sources.clone(),
            shape: graph.tensor(node.outputs[0]).shape.clone(),
            macs: node_macs(graph, node),
            weights_bytes: portable::weight_bytes(graph, node),
            arena_bytes: plan.live_bytes.get(step).copied().unwrap_or(0) as u64,
            sqnr_db: parts.sqnr.get(step).copied().flatten(),
        })
        .collect();
    Report {
        model: request.name.clone(),
        version: request.version.clone(),
        target: request.capability.platform.platform_name.clone(),
        module_bytes: module.image().len() as u64,
        weights_bytes: parts.weights_bytes,
        code_bytes: 0,
        arena_bytes: module.arena_bytes() as u64,
        macs: parts.macs,
        metric: measured.map(|m| m.name.into()),
        metric_float: measured.map(|m| m.float),
        metric_int8: measured.map(|m| m.int8),
        agreement: measured.and_then(|m| m.agreement),
        samples: measured.map_or(0, |m| m.samples as u64),
        compile_ms: parts.compile_ms,
        source_digest: Digest::of(&request.onnx),
        module_digest: Digest::of(module.image()),
        build_key: request.build_key(),
        compiler: COMPILER_VERSION.into(),
        kernels: module.kernels().collect(),
        layers,
    }
}

/// Multiply-accumulates of a graph.
pub(super) fn macs(graph: &Graph) -> u64 {
    graph
        .order()
        .into_iter()
        .filter_map(|id| graph.node(id))
        .map(|node| node_macs(graph, node))
        .sum()
}

fn node_macs(graph: &Graph, node: &Node) -> u64 {
    let elements = graph.tensor(node.outputs[0]).elements();
    let weights = || graph.tensor(node.inputs[1]).shape.as_slice();
    let per_element = match &node.op {
        Op::Conv { .. } => weights().iter().skip(1).product(),
        Op::DepthwiseConv { window, .. } => window.kernel[0] * window.kernel[1],
        Op::FullyConnected { .. } => weights().get(1).copied().unwrap_or(0),
        _ => 0,
    };
    (elements * per_element) as u64
}
