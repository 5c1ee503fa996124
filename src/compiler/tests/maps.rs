//! Factors and offsets: where they go, and what they cost.

use tinsmith_build_job::{Compiled, Options, Request, Samples, Task};

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
