//! The summary of the demo.

use std::time::Duration;

use serde_json::{Value, json};

use super::devices::Device;
use crate::out::plain;
use crate::table::table;
use tinsmith_build::Model;
use tinsmith_inference::Answer;
use tinsmith_update::{Status, Summary};

/// How far the device may be from the float model.
const POINT: f64 = 0.01;

/// Float and device on the same samples.
#[derive(Clone, Copy)]
pub(super) struct Metrics {
    pub(super) float: f64,
    pub(super) device: f64,
    pub(super) agreement: Option<f64>,
}

/// One device.
pub(super) struct Row {
    endpoint: String,
    target: String,
    model: String,
    samples: usize,
    metric: String,
    metric_float: Option<f64>,
    metric_device: Option<f64>,
    agreement: Option<f64>,
    module_bytes: Option<u32>,
    arena_bytes: Option<u32>,
    compile_ms: Option<u64>,
    cached: bool,
    transfer_ms: Option<u64>,
    latency_us: Option<u64>,
    result: String,
    detail: String,
    pub(super) as_expected: bool,
}

impl Row {
    /// Of a device that runs nothing.
    pub(super) fn without_inference(device: &Device, model: &Model, status: &Status) -> Self {
        let result = match status.summary {
            Summary::Refused => "refused",
            _ => "failed",
        };
        Self {
            endpoint: device.endpoint.to_owned(),
            target: device.target.to_owned(),
            model: device.model.to_owned(),
            samples: 0,
            metric: model.card.metric_name().to_owned(),
            metric_float: None,
            metric_device: None,
            agreement: None,
            module_bytes: None,
            arena_bytes: None,
            compile_ms: None,
            cached: false,
            transfer_ms: None,
            latency_us: None,
            result: result.to_owned(),
            detail: status.detail.clone(),
            as_expected: !device.fits && status.summary == Summary::Refused,
        }
    }

    /// Of a device that ran samples.
    pub(super) fn new(
        device: &Device,
        model: &Model,
        status: &Status,
        answers: &[Answer],
        metrics: Metrics,
    ) -> Self {
        let last = status.record.last.as_ref();
        let artefact = last.and_then(|last| last.artefact.as_ref());
        let latencies: Vec<u64> = answers.iter().filter_map(|a| a.latency_us).collect();
        let mean = latencies
            .iter()
            .sum::<u64>()
            .checked_div(latencies.len() as u64);
        Self {
            endpoint: device.endpoint.to_owned(),
            target: device.target.to_owned(),
            model: device.model.to_owned(),
            samples: answers.len(),
            metric: model.card.metric_name().to_owned(),
            metric_float: Some(metrics.float),
            metric_device: Some(metrics.device),
            agreement: metrics.agreement,
            module_bytes: artefact.map(|a| a.module_bytes),
            arena_bytes: artefact.map(|a| a.arena_bytes),
            compile_ms: artefact.map(|a| a.compile_ms),
            cached: artefact.is_some_and(|a| a.cached),
            transfer_ms: last.and_then(|last| last.transfer_ms),
            latency_us: mean,
            result: "installed".to_owned(),
            detail: status.detail.clone(),
            as_expected: device.fits && (metrics.float - metrics.device).abs() <= POINT,
        }
    }
}

/// One document.
pub(super) fn json(rows: &[Row], took: Duration) -> Value {
    let devices: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "endpoint": row.endpoint,
                "target": row.target,
                "model": row.model,
                "samples": row.samples,
                "metric": row.metric,
                "metric_float": row.metric_float,
                "metric_device": row.metric_device,
                "agreement": row.agreement,
                "module_bytes": row.module_bytes,
                "arena_bytes": row.arena_bytes,
                "compile_ms": row.compile_ms,
                "cached": row.cached,
                "transfer_ms": row.transfer_ms,
                "latency_us": row.latency_us,
                "result": row.result,
                "detail": row.detail,
            })
        })
        .collect();
    json!({ "devices": devices, "seconds": took.as_secs_f64() })
}

/// A table.
pub(super) fn text(rows: &[Row], took: Duration) -> String {
    let number = |value: Option<u64>| value.map_or("-".to_owned(), |n| n.to_string());
    let metric = |value: Option<f64>| value.map_or("-".to_owned(), |m| format!("{m:.4}"));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let compile = match row.compile_ms {
                Some(_) if row.cached => "cached".to_owned(),
                ms => number(ms),
            };
            vec![
                row.endpoint.clone(),
                row.target.clone(),
                row.model.clone(),
                row.samples.to_string(),
                row.metric.clone(),
                metric(row.metric_float),
                metric(row.metric_device),
                metric(row.agreement),
                number(row.module_bytes.map(u64::from)),
                number(row.arena_bytes.map(u64::from)),
                compile,
                number(row.transfer_ms),
                row.result.clone(),
            ]
        })
        .collect();
    let heading = [
        "DEVICE",
        "TARGET",
        "MODEL",
        "SAMPLES",
        "METRIC",
        "FLOAT",
        "DEVICE",
        "AGREE",
        "MODULE B",
        "ARENA B",
        "COMPILE ms",
        "TRANSFER ms",
        "RESULT",
    ];
    let mut out = table(&heading, &cells);
    for row in rows.iter().filter(|row| row.result != "installed") {
        let line = format!("{}: {}", row.endpoint, row.detail);
        out.push_str(&format!("\n{}\n", plain(&line)));
    }
    out.push_str(&format!("\n{:.1} s in all\n", took.as_secs_f64()));
    out
}
