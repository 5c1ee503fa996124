mod evaluation;
mod maps;
mod pytorch;
mod requests;
mod several;

use std::path::{Path, PathBuf};
use std::time::Instant;

use tinsmith_build_job::{
    CompileError, Compiled, Misfit, Options, Request, Samples, Task, TestSet, build_key,
};
use tinsmith_digest::Digest;
use tinsmith_samples as samples;

use super::*;

/// A model of the shipped zoo (`models/NAME`), or of a developer's data folder.
pub(crate) fn request(name: &str, task: Task) -> Option<Request> {
    let [onnx, calibration, test] = match tinsmith_models::ALL.iter().find(|m| m.name == name) {
        Some(files) => [files.onnx, files.calibration, files.test].map(<[u8]>::to_vec),
        None => developers_model(name)?,
    };
    Some(Request {
        name: name.into(),
        version: "1".into(),
        onnx,
        task,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(samples::samples(&calibration).unwrap()),
        test: Some(samples::test_set(&test).unwrap()),
    })
}

/// Evaluation data that are not in the repository; what needs them is skipped without them.
fn data() -> PathBuf {
    std::env::var_os("TINSMITH_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

fn developers_model(name: &str) -> Option<[Vec<u8>; 3]> {
    let folder = data().join("zoo");
    let file = |end: &str| {
        let path = folder.join(format!("{name}{end}"));
        std::fs::read(&path)
            .inspect_err(|_| eprintln!("skipped: {} is not here", path.display()))
            .ok()
    };
    Some([file(".onnx")?, file("_calib.npz")?, file("_test.npz")?])
}

fn build(name: &str, task: Task) -> Option<Compiled> {
    let request = request(name, task)?;
    let started = Instant::now();
    let compiled = compile(&request, &mut |_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
    let report = &compiled.report;
    println!(
        "{name}: {} float {:.4} int8 {:.4} agreement {:?} n {} | module {} weights {} arena {} \
         macs {} cycles {} | compile {} ms, all {} ms | {}",
        report.metric.as_deref().unwrap_or_default(),
        report.metric_float.unwrap_or_default(),
        report.metric_int8.unwrap_or_default(),
        report.agreement,
        report.samples,
        report.module_bytes,
        report.weights_bytes,
        report.arena_bytes,
        report.macs,
        report.layers.iter().filter_map(|l| l.cycles).sum::<u64>(),
        report.compile_ms,
        started.elapsed().as_millis(),
        report.module_digest.short(),
    );
    for layer in &report.layers {
        println!(
            "    {:<16} {:?} macs {} weights {} arena {} sqnr {:.1?}",
            layer.op,
            layer.shape,
            layer.macs,
            layer.weights_bytes,
            layer.arena_bytes,
            layer.sqnr_db
        );
    }
    Some(compiled)
}

/// int8 within one point of float on the whole test set.
fn within_a_point(name: &str, task: Task, least: f64) {
    let Some(compiled) = build(name, task) else {
        return;
    };
    let report = &compiled.report;
    let (float, int8) = (report.metric_float.unwrap(), report.metric_int8.unwrap());
    assert!(float >= least, "{name}: float {float}");
    assert!(int8 >= float - 0.01, "{name}: float {float}, int8 {int8}");
    assert_eq!(report.module_digest, Digest::of(&compiled.module));
}

#[test]
fn shipped_models() {
    for (name, task) in [
        ("motion", Task::Classify),
        ("maintenance", Task::Reconstruct),
        ("fashion", Task::Classify),
        ("fashion-resnet", Task::Classify),
    ] {
        within_a_point(name, task, 0.8);
    }
}

/// The number of elements is a prime, so that no shape with smaller dimensions has as many.
#[test]
fn a_flat_tensor_of_more_than_65535_elements() {
    const N: usize = 65_537;
    let wave = |n: usize| {
        (0..n)
            .map(|i| (i % 97) as f32 / 97.0 - 0.5)
            .collect::<Vec<f32>>()
    };
    let weights: Vec<f32> = wave(2 * N).iter().map(|w| w / 64.0).collect();
    let dims = [N as i64, 2];
    let gemm = Some((&dims[..], weights.as_slice()));
    let onnx = crate::check::tests::chain([N as i64, 2], &[("Sigmoid", None), ("Gemm", gemm)]);
    let mut capability = tinsmith_targets::find("nrf52840").unwrap();
    capability.platform.arena_total = 1 << 18;
    let request = |capability| Request {
        name: "flat".into(),
        version: "1".into(),
        onnx: onnx.clone(),
        task: Task::Regress,
        labels: Vec::new(),
        capability,
        options: Options::new(Samples::new(vec![N], wave(4 * N))),
        test: None,
    };
    let report = compile(&request(capability.clone()), &mut |_| {})
        .unwrap_or_else(|e| panic!("{e}"))
        .report;
    assert!(report.kernels.iter().any(|&(_, version)| version == 2));
    // A device whose kernels know smaller tensors only is named, not sent to.
    for (_, version) in capability.units[0].operators.iter_mut().flatten() {
        *version = 1;
    }
    let refused = compile(&request(capability), &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("version 2"), "{refused}");
}

/// Flips bytes all over the structure of real files. Whatever comes out, it is no panic; tract's
/// own panics are caught.
#[test]
fn damaged_models_never_panic() {
    for (name, task) in [
        ("occupancy_mlp", Task::Classify),
        ("mnist_dscnn", Task::Classify),
    ] {
        let Some(mut request) = request(name, task) else {
            continue;
        };
        request.test = None;
        request
            .options
            .calibration
            .data
            .truncate(4 * request.options.calibration.size());
        let good = request.onnx.clone();
        let mut state = 7_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize
        };
        let (mut built, mut refused) = (0, 0);
        let rounds = std::env::var("TINSMITH_FUZZ")
            .ok()
            .and_then(|n| n.parse().ok());
        for _ in 0..rounds.unwrap_or(200) {
            request.onnx.clone_from(&good);
            for _ in 0..1 + next() % 3 {
                // Names, attributes and shapes are at the front, weights behind.
                let at = next()
                    % if next() % 2 == 0 {
                        1500.min(good.len())
                    } else {
                        good.len()
                    };
                request.onnx[at] = [0, 1, 0xff, 0x7f, next() as u8][next() % 5];
            }
            match compile(&request, &mut |_| {}) {
                Ok(_) => built += 1,
                Err(error) => {
                    refused += 1;
                    if let CompileError::Internal { .. } = error {
                        println!("{name}: {error}");
                    }
                }
            }
        }
        println!("{name}: {built} built, {refused} refused");
    }
}

const CHILD: &str = "TINSMITH_TEST_CHILD";

/// The test program itself is the child: with an environment variable set, this is its main.
#[test]
fn as_child() {
    if std::env::var_os(CHILD).is_some() {
        let _ = tinsmith_build_job::child::serve(compile, tinsmith_samples::READERS);
    }
}

#[test]
fn a_child_gives_what_a_build_in_process_gives() {
    let request = request("motion", Task::Classify).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["tests::as_child", "--exact", "--nocapture"]);
    child.env(CHILD, "1");
    let mut stages = Vec::new();
    let limit = std::time::Duration::from_secs(60);
    let result = tinsmith_build_job::child::run(child, limit, &request, &mut |p| {
        stages.push(p.stage);
    });
    let (there, here) = (result.unwrap(), compile(&request, &mut |_| {}).unwrap());
    assert_eq!(there.module, here.module);
    assert_eq!(there.report.metric_int8, here.report.metric_int8);
    assert_eq!(stages.first().map(String::as_str), Some("check"));
    assert_eq!(stages.last().map(String::as_str), Some("done"));
}
