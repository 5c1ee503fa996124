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
         macs {} | compile {} ms, all {} ms | {}",
        report.metric.as_deref().unwrap_or_default(),
        report.metric_float.unwrap_or_default(),
        report.metric_int8.unwrap_or_default(),
        report.agreement,
        report.samples,
        report.module_bytes,
        report.weights_bytes,
        report.arena_bytes,
        report.macs,
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
fn hapt_cnn1d() {
    within_a_point("hapt_cnn1d", Task::Classify, 0.91);
}

#[test]
fn cmapss_ae() {
    within_a_point("cmapss_ae", Task::Reconstruct, 0.99);
}

#[test]
fn mnist_dscnn() {
    within_a_point("mnist_dscnn", Task::Classify, 0.99);
}

#[test]
fn fashion_resnet() {
    within_a_point("fashion_resnet", Task::Classify, 0.91);
}

#[test]
fn forda_cnn1d() {
    within_a_point("forda_cnn1d", Task::Classify, 0.96);
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

#[test]
fn cmapss_rul_regresses_alike() {
    let Some(compiled) = build("cmapss_rul", Task::Regress) else {
        return;
    };
    let report = compiled.report;
    let (float, int8) = (report.metric_float.unwrap(), report.metric_int8.unwrap());
    assert!((float - int8).abs() < 0.02 * float, "{float} {int8}");
}

#[test]
fn occupancy_mlp_with_its_affine_folded() {
    let Some(compiled) = build("occupancy_mlp", Task::Classify) else {
        return;
    };
    assert!(compiled.report.metric_int8.unwrap() > 0.95);
}

/// Random inputs stand for data that may not be copied.
#[test]
fn mlperf_tiny_compiles() {
    let folder = data().join("mlperf_tiny");
    for (name, shape, arena) in [
        ("kws01", vec![49, 10, 1], 16_000),
        ("ic01", vec![32, 32, 3], 49_152),
        ("ad01", vec![640], 768),
        ("ad01_fp32_tflite", vec![640], 1_280),
        ("vww01", vec![96, 96, 3], 55_296),
        ("sww01", vec![30, 1, 40], 6_656),
    ] {
        let Ok(onnx) = std::fs::read(folder.join(format!("{name}.onnx"))) else {
            eprintln!("skipped: {name} is not in {}", folder.display());
            continue;
        };
        let size: usize = shape.iter().product();
        let mut state = 1_u32;
        let data = (0..4 * size)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 24) as f32
            })
            .collect();
        let mut capability = tinsmith_targets::find("stm32f767").unwrap();
        capability.platform.max_module_size = 1 << 20;
        capability.platform.model_storage_total = 1 << 21;
        let request = Request {
            name: name.into(),
            version: "1".into(),
            onnx,
            task: Task::Classify,
            labels: Vec::new(),
            capability,
            options: Options::new(Samples { shape, data }),
            test: None,
        };
        let report = compile(&request, &mut |_| {})
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .report;
        println!(
            "{name}: module {} arena {} (peak of live tensors {arena}) macs {} in {} ms",
            report.module_bytes, report.arena_bytes, report.macs, report.compile_ms
        );
        assert!(
            report.arena_bytes <= arena,
            "{name}: {} > {arena}",
            report.arena_bytes
        );
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
        options: Options::new(Samples {
            shape: vec![N],
            data: wave(4 * N),
        }),
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

#[test]
fn kws01_on_real_keywords() {
    let folder = data().join("mlperf_tiny");
    let Ok(onnx) = std::fs::read(folder.join("kws01.onnx")) else {
        eprintln!("skipped: kws01 is not in {}", folder.display());
        return;
    };
    let file = std::fs::File::open(folder.join("kws01_eval.npz")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut array = |name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        bytes.split_off(header)
    };
    let real = |q: &u8| (f32::from(q.cast_signed()) - 83.0) * 0.584_702_9;
    let x: Vec<f32> = array("x_int8.npy").iter().map(real).collect();
    let y: Vec<f64> = array("y.npy").iter().map(|&y| f64::from(y)).collect();
    let (shape, split) = (vec![49, 10, 1], 100);
    let request = Request {
        name: "kws01".into(),
        version: "1".into(),
        onnx,
        task: Task::Classify,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(Samples {
            shape: shape.clone(),
            data: x[..split * 490].to_vec(),
        }),
        test: Some(TestSet {
            x: Samples {
                shape,
                data: x[split * 490..].to_vec(),
            },
            y: y[split..].to_vec(),
        }),
    };
    let report = compile(&request, &mut |_| {}).unwrap().report;
    println!(
        "kws01: float {:?} int8 {:?} agreement {:?} in {} ms",
        report.metric_float, report.metric_int8, report.agreement, report.compile_ms
    );
    assert!(report.metric_int8.unwrap() > report.metric_float.unwrap() - 0.01);
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let Some(mut request) = request("hapt_cnn1d", Task::Classify) else {
        return;
    };
    request.test = None;
    let one = compile(&request, &mut |_| {}).unwrap();
    let two = compile(&request, &mut |_| {}).unwrap();
    assert_eq!(one.module, two.module);
    let key = request.build_key(COMPILER_VERSION);
    assert_eq!(one.report.build_key, key);
    request.options.calibration.data[0] += 1.0;
    assert_ne!(request.build_key(COMPILER_VERSION), key);
}

#[test]
fn too_small_a_device_is_refused_by_bytes() {
    let Some(mut request) = request("hapt_cnn1d", Task::Classify) else {
        return;
    };
    request.capability = tinsmith_targets::find("stm32l053").unwrap();
    let error = compile(&request, &mut |_| {}).unwrap_err();
    println!("{error}");
    let CompileError::DoesNotFit {
        target, missing, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(target, "stm32l053r8");
    assert!(
        missing
            .iter()
            .any(|m| matches!(m, Misfit::Arena { missing: 1.., .. }))
    );
    assert!(
        missing
            .iter()
            .any(|m| matches!(m, Misfit::ModuleSize { missing: 1.., .. }))
    );
    assert!(error.to_string().contains("bytes of RAM are missing"));
}

#[test]
fn data_of_another_model_is_refused() {
    let Some(mut request) = request("hapt_cnn1d", Task::Classify) else {
        return;
    };
    request.options.calibration.shape = vec![3, 64];
    let error = compile(&request, &mut |_| {}).unwrap_err();
    assert!(matches!(error, CompileError::Data { .. }), "{error}");
    request.options.calibration.data.clear();
    assert!(
        compile(&request, &mut |_| {})
            .unwrap_err()
            .to_string()
            .contains("empty")
    );
}

#[test]
fn a_key_depends_on_everything() {
    let digest = |n: u8| Digest::of(&[n]);
    let key = build_key(&digest(1), &[2; 16], &digest(3), 1, "c 1");
    for other in [
        build_key(&digest(9), &[2; 16], &digest(3), 1, "c 1"),
        build_key(&digest(1), &[9; 16], &digest(3), 1, "c 1"),
        build_key(&digest(1), &[2; 16], &digest(9), 1, "c 1"),
        build_key(&digest(1), &[2; 16], &digest(3), 9, "c 1"),
        build_key(&digest(1), &[2; 16], &digest(3), 1, "c 9"),
    ] {
        assert_ne!(key, other);
    }
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
        let _ = tinsmith_build_job::child::serve(compile);
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
