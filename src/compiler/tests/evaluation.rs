//! Models and data that are not in the repository; what needs them is skipped without them.

use super::*;

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
        let mut request = Request {
            name: name.into(),
            version: "1".into(),
            onnx,
            task: Task::Classify,
            labels: Vec::new(),
            capability,
            options: Options::new(Samples::new(shape, data)),
            test: None,
        };
        // Noise is no image.
        request.options.allow_low_sqnr = true;
        let report = compile(&request, &mut |_| {})
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .report;
        let ops: Vec<&str> = report.layers.iter().map(|l| l.op.as_str()).collect();
        println!(
            "{name}: module {} arena {} (peak of live tensors {arena}) macs {} cycles {} in {} ms",
            report.module_bytes,
            report.arena_bytes,
            report.macs,
            report.layers.iter().filter_map(|l| l.cycles).sum::<u64>(),
            report.compile_ms
        );
        assert!(!ops.contains(&"transpose"), "{name}: {ops:?}");
        assert!(
            report.arena_bytes <= arena,
            "{name}: {} > {arena}",
            report.arena_bytes
        );
    }
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
        options: Options::new(Samples::new(shape.clone(), x[..split * 490].to_vec())),
        test: Some(TestSet {
            x: Samples::new(shape, x[split * 490..].to_vec()),
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
