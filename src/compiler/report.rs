//! Fills the report of a build.

use tinsmith_build_job::metric::Measured;
use tinsmith_build_job::{FloatCheck, LayerReport, PortReport, Report, Request};
use tinsmith_digest::Digest;
use tinsmith_module::Module;

use super::ir::{Graph, Node, Port};
use super::plan::Plan;
use super::write::{Built, weight_bytes};
use crate::COMPILER_VERSION;

pub(super) struct Parts<'a> {
    pub(super) request: &'a Request,
    pub(super) graph: &'a Graph,
    pub(super) plan: &'a Plan,
    pub(super) module: &'a Module<'a>,
    pub(super) built: &'a Built,
    pub(super) float_check: FloatCheck,
    pub(super) macs: u64,
    pub(super) compile_ms: u64,
    pub(super) sqnr: &'a [Option<f64>],
    pub(super) warnings: Vec<String>,
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
    // The work of a step is told with its first record.
    let mut told = None;
    let layers = parts
        .built
        .layers
        .iter()
        .enumerate()
        .filter_map(|(index, layer)| Some((index, layer, graph.node(layer.node)?)))
        .map(|(index, layer, node)| {
            let first = told.replace(layer.step) != Some(layer.step);
            let tensor = layer.gives.or(node.outputs.first().copied());
            let tensor = tensor.map(|tensor| graph.tensor(tensor));
            LayerReport {
                name: tensor.map_or_else(String::new, |tensor| tensor.name.clone()),
                op: node.op.name().into(),
                nodes: node.sources.clone(),
                shape: tensor.map_or_else(Vec::new, |tensor| tensor.shape.clone()),
                macs: if first { node_macs(graph, node) } else { 0 },
                weights_bytes: if first { weight_bytes(graph, node) } else { 0 },
                arena_bytes: plan.live_bytes.get(layer.step).copied().unwrap_or(0) as u64,
                sqnr_db: parts.sqnr.get(index).copied().flatten(),
                cycles: plan
                    .steps
                    .get(layer.step)
                    .filter(|_| first)
                    .and_then(|step| step.backend.cycles(graph, node)),
                backend: plan
                    .steps
                    .get(layer.step)
                    .map_or_else(String::new, |step| step.backend.name().into()),
            }
        })
        .collect();
    Report {
        model: request.name.clone(),
        version: request.version.clone(),
        target: request.capability.platform.platform_name.clone(),
        module_bytes: module.image().len() as u64,
        weights_bytes: parts.built.weights_bytes,
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
        float_check: parts.float_check.clone(),
        inputs: ports(&graph.inputs),
        outputs: ports(&graph.outputs),
        warnings: parts.warnings.clone(),
        layers,
    }
}

fn ports(ports: &[Port]) -> Vec<PortReport> {
    let report = |port: &Port| PortReport {
        name: port.name.clone(),
        shape: port.shape.clone(),
    };
    ports.iter().map(report).collect()
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
    let (inputs, outputs) = (graph.shapes(&node.inputs), graph.shapes(&node.outputs));
    node.op.macs(&inputs, &outputs)
}
