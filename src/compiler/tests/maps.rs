//! Factors and offsets: where they go, and what they cost.

use tinsmith_build_job::{CompileError, Compiled, Options, Request, Samples, Task};

use crate::compile;
use crate::testing::{Onnx, int, ints, values};

fn request(onnx: Vec<u8>, samples: Samples) -> Request {
    Request {
        name: "maps".into(),
        version: "1".into(),
        onnx,
        task: Task::Regress,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(samples),
        test: None,
    }
}

fn built(onnx: Vec<u8>, samples: Samples) -> Compiled {
    compile(&request(onnx, samples), &mut |_| {}).unwrap_or_else(|e| panic!("{e}"))
}

fn ops(compiled: &Compiled) -> Vec<&str> {
    let layers = compiled.report.layers.iter();
    layers.map(|layer| layer.op.as_str()).collect()
}

fn image(count: usize) -> Samples {
    Samples::new(vec![2, 6, 6], values(count * 72, 5))
}

/// One value for a whole tensor takes no code: it is in weights, limits and scales.
#[test]
fn a_scalar_after_a_convolution_is_no_code() {
    let conv = || {
        Onnx::new(&[1, 2, 6, 6])
            .weights("w", &[3, 2, 3, 3])
            .constant("half", &[], &[0.5])
            .constant("two", &[1, 1, 1, 1], &[2.0])
            .constant("minus", &[1], &[-1.5])
            .node("Conv", &["x", "w"], "c", &[])
    };
    let plain = conv().file(&["c"]);
    let scaled = conv()
        .node("Mul", &["c", "half"], "m", &[])
        .node("Add", &["m", "two"], "y", &[])
        .file(&["y"]);
    let limited = conv()
        .node("Relu", &["c"], "r", &[])
        .node("Div", &["r", "half"], "d", &[])
        .node("Sub", &["d", "two"], "y", &[])
        .file(&["y"]);
    let negative = conv().node("Mul", &["c", "minus"], "y", &[]).file(&["y"]);
    let plain = built(plain, image(16));
    for onnx in [scaled, limited, negative] {
        let compiled = built(onnx, image(16));
        assert_eq!(ops(&compiled), ["conv"]);
        let (report, without) = (&compiled.report, &plain.report);
        assert!(report.arena_bytes <= without.arena_bytes);
        assert!(report.module_bytes <= without.module_bytes + 8);
        let sqnr = report.layers[0].sqnr_db.unwrap();
        assert!(sqnr > 30.0, "{sqnr}");
    }
}

/// What no weights take in is another scale of the same bytes.
#[test]
fn a_positive_factor_is_another_scale() {
    let onnx = Onnx::new(&[1, 2, 6, 6])
        .weights("w", &[3, 2, 3, 3])
        .constant("hundred", &[1], &[100.0])
        .node("Conv", &["x", "w"], "c", &[])
        .node("Sigmoid", &["c"], "s", &[])
        .node("Mul", &["s", "hundred"], "y", &[])
        .file(&["y"]);
    let compiled = built(onnx, image(16));
    assert_eq!(ops(&compiled), ["conv", "sigmoid"]);
    let module = tinsmith_module::Module::parse(&compiled.module).unwrap();
    let outputs = lwm2m_objects::compute::read_descriptors(module.output_descriptor()).unwrap();
    assert_eq!(outputs[0].scales, [100.0 / 256.0]);
    assert_eq!(outputs[0].zero_points, [-128]);
}

/// Past a pool and a change of shape, into the weights of the layer behind.
#[test]
fn a_scalar_goes_into_the_next_layer() {
    let onnx = Onnx::new(&[1, 2, 6, 6])
        .weights("w", &[3, 2, 3, 3])
        .weights("dense", &[4, 3])
        .constant("seven", &[1], &[7.0])
        .constant("one", &[1], &[1.0])
        .node("Conv", &["x", "w"], "c", &[])
        .node("Relu", &["c"], "r", &[])
        .node("GlobalAveragePool", &["r"], "p", &[])
        .node("Div", &["p", "seven"], "d", &[])
        .node("Add", &["d", "one"], "a", &[])
        .node("Flatten", &["a"], "f", &[])
        .node("Gemm", &["f", "dense"], "y", &[int("transB", 1)])
        .file(&["y"]);
    let compiled = built(onnx, image(16));
    assert_eq!(ops(&compiled), ["conv", "average_pool", "fully_connected"]);
}

/// A factor keeps padding what it is, an offset does not.
#[test]
fn a_factor_passes_padding() {
    let same = [ints("pads", &[1, 1, 1, 1])];
    let onnx = Onnx::new(&[1, 2, 6, 6])
        .weights("w1", &[2, 2, 3, 3])
        .weights("w2", &[2, 2, 3, 3])
        .constant("by", &[1, 2, 1, 1], &[0.25, 3.0])
        .node("Conv", &["x", "w1"], "c", &[])
        .node("Tanh", &["c"], "t", &[])
        .node("Mul", &["t", "by"], "m", &[])
        .node("Conv", &["m", "w2"], "y", &same)
        .file(&["y"]);
    assert_eq!(ops(&built(onnx, image(16))), ["conv", "tanh", "conv"]);
}

/// A barometer: 1 bar and a little, less its mean, by its deviation.
fn barometer(count: usize) -> Samples {
    let data = values(count * 8, 3)
        .into_iter()
        .map(|v| 101_325.0 + 90.0 * v);
    Samples::new(vec![8], data.collect())
}

fn standardised() -> Onnx {
    Onnx::new(&[1, 8])
        .constant("mean", &[1], &[101_325.0])
        .constant("deviation", &[1], &[30.0])
        .weights("w1", &[6, 8])
        .weights("w2", &[1, 6])
        .node("Sub", &["x", "mean"], "s", &[])
        .node("Div", &["s", "deviation"], "d", &[])
}

fn worst(compiled: &Compiled) -> f64 {
    let layers = compiled.report.layers.iter();
    layers
        .filter_map(|layer| layer.sqnr_db)
        .fold(f64::INFINITY, f64::min)
}

/// The module on samples, as the server asks it, beside the float model.
fn error(compiled: &Compiled, onnx: &[u8], samples: &Samples) -> f64 {
    let module = tinsmith_module::Module::parse(&compiled.module).unwrap();
    let read = lwm2m_objects::compute::read_descriptors;
    let input = &read(module.input_descriptor()).unwrap()[0];
    let output = &read(module.output_descriptor()).unwrap()[0];
    let float = crate::float_scores("maps", onnx, Task::Regress, samples).unwrap();
    let (mut noise, mut signal) = (0.0, 0.0);
    for (sample, float) in samples.iter().zip(float) {
        let run = tinsmith_module::spec::run(&module, &[&input.quantize(sample).unwrap()]).unwrap();
        let answer = output.dequantize(&run.outputs[0]).unwrap();
        noise += (f64::from(answer[0]) - float).powi(2);
        signal += float.powi(2);
    }
    10.0 * (signal / noise).log10()
}

#[test]
fn a_barometer_is_stored_around_its_mean() {
    let onnx = standardised()
        .node("Gemm", &["d", "w1"], "g", &[int("transB", 1)])
        .node("Relu", &["g"], "r", &[])
        .node("Gemm", &["r", "w2"], "y", &[int("transB", 1)])
        .file(&["y"]);
    let compiled = built(onnx.clone(), barometer(200));
    assert_eq!(ops(&compiled), ["fully_connected", "fully_connected"]);
    assert!(worst(&compiled) > 30.0, "{}", worst(&compiled));
    let samples = barometer(200);
    let sqnr = error(&compiled, &onnx, &samples);
    assert!(sqnr > 30.0, "{sqnr}");
    let module = tinsmith_module::Module::parse(&compiled.module).unwrap();
    let inputs = lwm2m_objects::compute::read_descriptors(module.input_descriptor()).unwrap();
    assert_eq!(inputs[0].scales.len(), 1);
    assert!(
        inputs[0].zero_points[0] < -100_000,
        "{:?}",
        inputs[0].zero_points
    );
}

/// The same without the standardisation: the first layer works on the raw values.
#[test]
fn raw_values_far_from_zero() {
    let onnx = Onnx::new(&[1, 8])
        .constant("w", &[1, 8], &[1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.0, -1.0])
        .node("Gemm", &["x", "w"], "y", &[int("transB", 1)])
        .file(&["y"]);
    let compiled = built(onnx.clone(), barometer(200));
    assert_eq!(ops(&compiled), ["fully_connected"]);
    let sqnr = error(&compiled, &onnx, &barometer(200));
    assert!(sqnr > 30.0, "{sqnr}");
}

/// Pressure, temperature, humidity, a flag and a voltage that never changed.
const MEANS: [f32; 5] = [101_325.0, 21.0, 0.4, 0.0, 2.5];
const DEVIATIONS: [f32; 5] = [450.0, 4.0, 0.08, 1.0, 0.3];

fn weather(count: usize) -> Samples {
    let data = values(count * 5, 9).into_iter().enumerate();
    let real = |(index, v): (usize, f32)| match index % 5 {
        3 => 0.0,
        4 => 3.3,
        feature => MEANS[feature] + 2.0 * DEVIATIONS[feature] * v,
    };
    Samples::new(vec![5], data.map(real).collect())
}

#[test]
fn features_of_different_size_have_scales_of_their_own() {
    let onnx = Onnx::new(&[1, 5])
        .constant("mean", &[5], &MEANS)
        .constant("deviation", &[1, 5], &DEVIATIONS)
        .weights("w1", &[8, 5])
        .weights("w2", &[1, 8])
        .node("Sub", &["x", "mean"], "s", &[])
        .node("Div", &["s", "deviation"], "d", &[])
        .node("Gemm", &["d", "w1"], "g", &[int("transB", 1)])
        .node("Relu", &["g"], "r", &[])
        .node("Gemm", &["r", "w2"], "y", &[int("transB", 1)])
        .file(&["y"]);
    let compiled = built(onnx.clone(), weather(200));
    assert_eq!(ops(&compiled), ["fully_connected", "fully_connected"]);
    assert!(worst(&compiled) > 30.0, "{}", worst(&compiled));
    let sqnr = error(&compiled, &onnx, &weather(200));
    assert!(sqnr > 30.0, "{sqnr}");
    let module = tinsmith_module::Module::parse(&compiled.module).unwrap();
    let inputs = lwm2m_objects::compute::read_descriptors(module.input_descriptor()).unwrap();
    assert_eq!((inputs[0].axis, inputs[0].scales.len()), (Some(0), 5));
}

/// An image whose mean is taken away before a padded convolution: 0 behind it is a stored value, so
/// that nothing is computed for it.
#[test]
fn the_mean_of_an_image_before_padding() {
    let (means, deviations) = ([0.485_f32, 0.456, 0.406], [0.229_f32, 0.224, 0.225]);
    let onnx = Onnx::new(&[1, 3, 6, 6])
        .constant("mean", &[1, 3, 1, 1], &means)
        .constant("deviation", &[3, 1, 1], &deviations)
        .weights("w1", &[4, 3, 3, 3])
        .node("Sub", &["x", "mean"], "s", &[])
        .node("Div", &["s", "deviation"], "d", &[])
        .node("Conv", &["d", "w1"], "y", &[ints("pads", &[1, 1, 1, 1])])
        .file(&["y"]);
    let data = values(16 * 108, 2)
        .iter()
        .map(|v| (v + 1.0) / 2.0)
        .collect();
    let samples = Samples::new(vec![3, 6, 6], data);
    let compiled = built(onnx.clone(), samples.clone());
    assert_eq!(ops(&compiled), ["conv"]);
    assert!(worst(&compiled) > 30.0, "{}", worst(&compiled));
    let sqnr = error(&compiled, &onnx, &samples);
    assert!(sqnr > 30.0, "{sqnr}");
}

fn refused(onnx: Vec<u8>, samples: Samples) -> Vec<String> {
    let mut request = request(onnx, samples);
    let findings = match compile(&request, &mut |_| {}) {
        Err(CompileError::LowSqnr { findings, .. }) => findings,
        other => panic!("{other:?}"),
    };
    request.options.allow_low_sqnr = true;
    let report = compile(&request, &mut |_| {}).unwrap().report;
    assert_eq!(report.warnings, findings);
    findings
}

/// The features go through a convolution over the raw values, so none can have a scale of its own.
#[test]
fn a_feature_without_steps_is_told() {
    let onnx = Onnx::new(&[1, 5])
        .weights("w1", &[4, 5])
        .node("Tanh", &["x"], "t", &[])
        .node("Gemm", &["t", "w1"], "y", &[int("transB", 1)])
        .file(&["y"]);
    let findings = refused(onnx, weather(64));
    assert!(
        findings[0].contains("feature 2 of input 'x' varies from 0.2"),
        "{findings:?}"
    );
}

#[test]
fn outliers_are_told() {
    let mut samples = image(16);
    // Not among those that are measured.
    samples.data[12 * 72] = 1e5;
    let onnx = Onnx::new(&[1, 2, 6, 6])
        .weights("w", &[3, 2, 3, 3])
        .node("Conv", &["x", "w"], "c", &[])
        .node("Relu", &["c"], "y", &[])
        .file(&["y"]);
    let findings = refused(onnx, samples);
    assert!(findings[0].starts_with("conv (c, y) has "), "{findings:?}");
    assert!(findings[0].contains("few large values"), "{findings:?}");
}

/// What the padding of a model's output is, where nothing else is.
fn padding(compiled: &Compiled) -> f32 {
    let module = tinsmith_module::Module::parse(&compiled.module).unwrap();
    let read = lwm2m_objects::compute::read_descriptors;
    let input = &read(module.input_descriptor()).unwrap()[0];
    let output = &read(module.output_descriptor()).unwrap()[0];
    let sample = input.quantize(&[0.5; 72]).unwrap();
    let run = tinsmith_module::spec::run(&module, &[&sample]).unwrap();
    output.dequantize(&run.outputs[0]).unwrap()[0]
}

#[test]
fn a_pad_constant_is_in_the_range() {
    let padded = |before: fn(Onnx) -> Onnx, value: f32| {
        let onnx = before(Onnx::new(&[1, 2, 6, 6]).weights("w", &[3, 2, 3, 3]))
            .integers("pads", &[0, 0, 1, 1, 0, 0, 1, 1])
            .constant("value", &[], &[value])
            .node("Pad", &["t", "pads", "value"], "y", &[])
            .file(&["y"]);
        built(onnx, image(16))
    };
    let conv: fn(Onnx) -> Onnx = |onnx| onnx.node("Conv", &["x", "w"], "t", &[]);
    let pooled: fn(Onnx) -> Onnx = |onnx| {
        onnx.node("Conv", &["x", "w"], "c", &[]).node(
            "MaxPool",
            &["c"],
            "t",
            &[ints("kernel_shape", &[2, 2])],
        )
    };
    let sigmoid: fn(Onnx) -> Onnx = |onnx| {
        onnx.node("Conv", &["x", "w"], "c", &[])
            .node("Sigmoid", &["c"], "t", &[])
    };
    let input: fn(Onnx) -> Onnx = |onnx| onnx.node("Identity", &["x"], "t", &[]);
    for (before, value) in [
        (conv, 5.0),
        (conv, -7.0),
        (pooled, -3.0),
        (sigmoid, -1.0),
        (sigmoid, 0.5),
        (input, 2.0),
    ] {
        let found = padding(&padded(before, value));
        assert!((found - value).abs() < 0.04, "{value} became {found}");
    }
}
