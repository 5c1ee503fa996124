//! What a build is asked, its key, and what is refused.

use super::*;
use crate::testing::{Onnx, int};

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
    request.options.calibration.arrays[0].shape = vec![3, 64];
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

/// Operators that are not known and variants of known ones alike; not what only reads their results.
#[test]
fn all_nodes_that_can_t_be_compiled_are_told_at_once() {
    let onnx = Onnx::new(&[1, 4, 6, 6])
        .weights("w1", &[4, 2, 3, 3])
        .weights("w2", &[2, 4, 1, 1])
        .integers("pads", &[0, 0, 1, 1, 0, 0, 1, 1])
        .node("Conv", &["x", "w1"], "grouped", &[int("group", 2)])
        .node("Frobnicate", &["grouped"], "unknown", &[])
        .node("Relu", &["unknown"], "behind", &[])
        .node("Conv", &["x", "w2"], "fine", &[])
        .node("Div", &["fine", "x"], "division", &[])
        .node("Einsum", &["x"], "einsum", &[])
        .node("Add", &["behind", "division"], "y", &[])
        .node("MatMul", &["einsum"], "arity", &[])
        .file(&["y", "arity"]);
    let mut request = request("motion", Task::Classify).unwrap();
    request.onnx = onnx;
    let CompileError::Nodes { nodes: faults } = compile(&request, &mut |_| {}).unwrap_err() else {
        panic!()
    };
    let mut nodes: Vec<&str> = faults.iter().filter_map(|f| f.node.as_deref()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["arity", "division", "einsum", "grouped", "unknown"]);
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
