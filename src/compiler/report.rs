//! Fills the report of a build.

use tinsmith_build_job::metric::Measured;
use tinsmith_build_job::{LayerReport, Report, Request};
use tinsmith_digest::Digest;
use tinsmith_module::Module;

use super::backend::portable;
use super::ir::{Graph, Node, Op};
use super::plan::Plan;
use crate::COMPILER_VERSION;

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
        build_key: request.build_key(COMPILER_VERSION),
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
