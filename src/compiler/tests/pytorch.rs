//! What PyTorch exports, see `pytorch/README.md`.

use super::*;

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pytorch");
    std::fs::read(folder.join(name)).unwrap()
}

fn exported(name: &str) -> Request {
    let mut asked = Vec::new();
    let whole = embed(&file(&format!("{name}.onnx")), &mut |beside| {
        asked.push(beside.to_owned());
        Ok(file(beside))
    });
    assert_eq!(asked, [format!("{name}.onnx.data")]);
    let data = file(&format!("{name}.npz"));
    Request {
        name: name.into(),
        version: "1".into(),
        onnx: whole.unwrap().unwrap(),
        task: Task::Classify,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(samples::samples(&data).unwrap()),
        test: Some(samples::test_set(&data).unwrap()),
    }
}

#[test]
fn the_documented_script() {
    let report = compile(&exported("waves"), &mut |_| {}).unwrap().report;
    let ops: Vec<&str> = report.layers.iter().map(|l| l.op.as_str()).collect();
    assert_eq!(
        ops,
        ["conv", "max_pool", "conv", "max_pool", "fully_connected"]
    );
    assert_eq!(
        (report.metric_float, report.metric_int8),
        (Some(1.0), Some(1.0))
    );
}

#[test]
fn the_newest_operator_set() {
    let report = compile(&exported("image"), &mut |_| {}).unwrap().report;
    // Its own classes.
    assert_eq!(report.metric_float, Some(1.0));
    let ops: Vec<&str> = report.layers.iter().map(|l| l.op.as_str()).collect();
    assert!(!ops.contains(&"transpose"), "{ops:?}");
}

/// Over HTTP one file comes; the message says what to do.
#[test]
fn without_its_second_file() {
    let mut request = exported("waves");
    request.onnx = file("waves.onnx");
    let error = compile(&request, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("save_as_external_data=False"), "{error}");
    assert!(!error.contains("internal"), "{error}");
}
