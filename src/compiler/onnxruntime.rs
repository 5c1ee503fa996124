//! Our floats against what onnxruntime gave, without tract: hand-made graphs, and models whose first
//! operation changes nothing, under which tract calls the input by another name.
//!
//! `TINSMITH_BLESS=1` writes the models, then `onnxruntime/make.py` their outputs.

use std::path::Path;

use tinsmith_build_job::{FloatCheck, Options, Request, Samples, Task};

use super::ir::eval::Evaluator;
use super::testing::{Onnx, graphs, int, ints, values};
use super::{check, import, operators};

fn request(name: &str, onnx: Vec<u8>, shape: &[usize]) -> Request {
    let data = values(8 * shape.iter().product::<usize>(), 3);
    let shape = shape.to_vec();
    Request {
        name: name.into(),
        version: "1".into(),
        onnx,
        task: Task::Regress,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(Samples::new(shape, data)),
        test: None,
    }
}

/// A dense layer behind `first`, which reads `x` and gives `t`, both `[1, 4, 1, 6]`.
fn behind(first: impl FnOnce(Onnx) -> Onnx) -> Vec<u8> {
    let onnx = Onnx::new(&[1, 4, 1, 6])
        .weights("w", &[24, 3])
        .integers("flat", &[1, 24]);
    first(onnx)
        .node("Reshape", &["t", "flat"], "f", &[])
        .node("MatMul", &["f", "w"], "y", &[])
        .file(&["y"])
}

/// Name and file of each model; all take `[4, 1, 6]`.
fn models() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("identity", behind(|m| m.node("Identity", &["x"], "t", &[]))),
        ("dropout", behind(|m| m.node("Dropout", &["x"], "t", &[]))),
        (
            "transpose",
            behind(|m| m.node("Transpose", &["x"], "t", &[ints("perm", &[0, 1, 2, 3])])),
        ),
        (
            "reshape",
            behind(|m| {
                let m = m.integers("same", &[1, 4, 1, 6]);
                m.node("Reshape", &["x", "same"], "t", &[])
            }),
        ),
        (
            "squeeze",
            behind(|m| {
                let m = m.integers("axis", &[2]);
                let m = m.node("Squeeze", &["x", "axis"], "s", &[]);
                m.node("Unsqueeze", &["s", "axis"], "t", &[])
            }),
        ),
        ("clip", behind(|m| m.node("Clip", &["x"], "t", &[]))),
        (
            "pad",
            behind(|m| {
                let m = m.integers("none", &[0; 8]);
                m.node("Pad", &["x", "none"], "t", &[])
            }),
        ),
        (
            "concat",
            behind(|m| m.node("Concat", &["x"], "t", &[int("axis", 1)])),
        ),
        ("twice", {
            let m = Onnx::new(&[1, 4, 1, 6]).weights("w", &[6, 6]);
            let m = m.node("Identity", &["x"], "a", &[]);
            let m = m.node("Identity", &["a"], "b", &[]);
            let m = m.node("MatMul", &["b", "w"], "t", &[]);
            let m = m.node("Add", &["t", "a"], "s", &[]);
            m.node("Identity", &["s"], "y", &[]).file(&["y"])
        }),
    ]
}

#[test]
fn a_first_operation_that_changes_nothing() {
    for (name, onnx) in models() {
        let request = request(name, onnx, &[4, 1, 6]);
        let report = crate::compile(&request, &mut |_| {})
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .report;
        let compared = |check: &FloatCheck| matches!(check, FloatCheck::Tract { tensors: 3.. });
        assert!(
            compared(&report.float_check),
            "{name}: {:?}",
            report.float_check
        );
    }
}

#[test]
fn floats_equal_those_of_onnxruntime() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnxruntime");
    let graphs = graphs::all()
        .into_iter()
        .map(|(name, onnx, _)| (name, onnx));
    let models: Vec<_> = models().into_iter().chain(graphs).collect();
    if std::env::var_os("TINSMITH_BLESS").is_some() {
        for (name, onnx) in &models {
            std::fs::write(folder.join(format!("{name}.onnx")), onnx).unwrap();
        }
        return;
    }
    for (name, onnx) in models {
        let stored = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        assert_eq!(stored, onnx, "{name}");
        let outputs = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let expected: Vec<f32> = outputs.lines().map(|line| line.parse().unwrap()).collect();
        let checked = check::check(name, &onnx).unwrap();
        let imported = import::import(name, &checked, None, &operators::find).unwrap();
        let mut evaluator = Evaluator::new(&imported.graph);
        // The input that make.py gives.
        let sample: Vec<f32> = (0..imported.graph.sample_size())
            .map(|i| (i % 24) as f32 / 8.0 - 1.0)
            .collect();
        evaluator.run(&sample);
        let output = evaluator.output();
        assert_eq!(output.len(), expected.len(), "{name}");
        for (ours, theirs) in output.iter().zip(&expected) {
            assert!((ours - theirs).abs() < 1e-5, "{name}: {ours} {theirs}");
        }
    }
}
