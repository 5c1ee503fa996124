//! Models with several inputs and outputs.

use lwm2m_objects::compute::read_descriptors;
use tinsmith_build_job::{
    Array, CompileError, Compiled, FloatCheck, Options, Request, Samples, Task, TestSet,
};
use tinsmith_module::{Module, spec};

use crate::testing::{Onnx, int, ints, values};
use crate::{compile, float_scores};

/// Arrays with their shapes, and as many samples.
fn samples(arrays: &[(&str, &[usize])], count: usize, seed: u32) -> Samples {
    let array = |&(name, shape): &(&str, &[usize])| Array {
        name: name.into(),
        shape: shape.into(),
    };
    let arrays: Vec<Array> = arrays.iter().map(array).collect();
    let size: usize = arrays.iter().map(Array::size).sum();
    Samples {
        data: values(count * size, seed),
        arrays,
    }
}

fn request(onnx: Vec<u8>, task: Task, calibration: Samples) -> Request {
    Request {
        name: "several".into(),
        version: "1".into(),
        onnx,
        task,
        labels: Vec::new(),
        capability: tinsmith_targets::find("nrf52840").unwrap(),
        options: Options::new(calibration),
        test: None,
    }
}

fn built(request: &Request) -> Compiled {
    compile(request, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(request: &Request) -> String {
    match compile(request, &mut |_| {}).err() {
        Some(error @ CompileError::Data { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The sum of two inputs.
fn sum() -> Vec<u8> {
    Onnx::new(&[1, 6])
        .input("z", &[1, 6])
        .node("Add", &["x", "z"], "y", &[])
        .file(&["y"])
}

/// An image and a row of facts; classes of both, and a map of the image.
fn heads() -> Vec<u8> {
    let same = [ints("pads", &[1, 1, 1, 1])];
    Onnx::new(&[1, 2, 6, 6])
        .input("facts", &[1, 3])
        .weights("w1", &[4, 2, 3, 3])
        .weights("w2", &[2, 4, 1, 1])
        .weights("w3", &[5, 7])
        .node("Conv", &["x", "w1"], "c", &same)
        .node("Relu", &["c"], "r", &[])
        .node("Conv", &["r", "w2"], "m", &[])
        .node("Sigmoid", &["m"], "map", &[])
        .node("GlobalAveragePool", &["r"], "g", &[])
        .node("Flatten", &["g"], "f", &[])
        .node("Concat", &["f", "facts"], "j", &[int("axis", 1)])
        .node("Gemm", &["j", "w3"], "l", &[int("transB", 1)])
        .node("Softmax", &["l"], "classes", &[])
        .file(&["classes", "map"])
}

const IMAGE: (&str, &[usize]) = ("x", &[2, 6, 6]);
const FACTS: (&str, &[usize]) = ("facts", &[3]);

#[test]
fn two_inputs_added() {
    let both = [("x", &[6][..]), ("z", &[6][..])];
    let compiled = built(&request(sum(), Task::Regress, samples(&both, 16, 1)));
    let module = Module::parse(&compiled.module).unwrap();
    let inputs = read_descriptors(module.input_descriptor()).unwrap();
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["x", "z"]);
    let outputs = read_descriptors(module.output_descriptor()).unwrap();
    let (x, z) = ([0.5, -0.5, 0.25, 0.0, 0.9, -0.9], [0.25_f32; 6]);
    let stored = [inputs[0].quantize(&x), inputs[1].quantize(&z)].map(Result::unwrap);
    let run = spec::run(&module, &[&stored[0], &stored[1]]).unwrap();
    let y = outputs[0].dequantize(&run.outputs[0]).unwrap();
    for ((y, x), z) in y.iter().zip(x).zip(z) {
        assert!((y - (x + z)).abs() < 0.03, "{x} + {z} is {y}");
    }
    let ports = |ports: &[tinsmith_build_job::PortReport]| -> Vec<(String, Vec<usize>)> {
        ports
            .iter()
            .map(|p| (p.name.clone(), p.shape.clone()))
            .collect()
    };
    let expected = [("x".to_owned(), vec![1, 6]), ("z".to_owned(), vec![1, 6])];
    assert_eq!(ports(&compiled.report.inputs), expected);
    assert_eq!(
        ports(&compiled.report.outputs),
        [("y".to_owned(), vec![1, 6])]
    );
}

#[test]
fn two_heads() {
    let calibration = samples(&[IMAGE, FACTS], 16, 3);
    let mut request = request(heads(), Task::Classify, calibration);
    request.labels = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let x = samples(&[IMAGE, FACTS], 64, 4);
    let float = float_scores("several", &request.onnx, Task::Classify, &x).unwrap();
    request.test = Some(TestSet { x, y: float });
    let compiled = built(&request);
    let report = &compiled.report;
    assert!(matches!(
        report.float_check,
        FloatCheck::Tract { tensors: 9 }
    ));
    assert_eq!(report.metric_float, Some(1.0));
    assert!(
        report.metric_int8.unwrap() > 0.9,
        "{:?}",
        report.metric_int8
    );
    assert!(
        report
            .layers
            .iter()
            .all(|l| l.sqnr_db.is_none_or(|db| db > 20.0))
    );

    let module = Module::parse(&compiled.module).unwrap();
    let outputs = read_descriptors(module.output_descriptor()).unwrap();
    let told: Vec<_> = outputs.iter().map(|o| (o.name.as_str(), o.task)).collect();
    assert_eq!(told, [("classes", Some(Task::Classify)), ("map", None)]);
    assert_eq!(outputs[1].shape, [6, 6, 2]);
    assert_eq!(module.labels().count(), 5);
    let mut arena = vec![0; module.arena_bytes()];
    assert_eq!(module.self_test(&mut arena), Ok(()));
}

/// The bytes do not depend on the order in which a file has the arrays.
#[test]
fn arrays_are_found_by_name() {
    let calibration = samples(&[IMAGE, FACTS], 16, 3);
    let turned = calibration.select(&[1, 0]);
    assert_eq!(turned.arrays[0].name, "facts");
    let modules = [calibration, turned]
        .map(|samples| built(&request(heads(), Task::Classify, samples)).module);
    assert_eq!(modules[0], modules[1]);
}

/// What lies beside the array of an only input is not looked at.
#[test]
fn an_only_input_takes_its_array() {
    let onnx = || {
        Onnx::new(&[1, 6])
            .node("Sigmoid", &["x"], "y", &[])
            .file(&["y"])
    };
    let both = samples(&[("other", &[2]), ("x", &[6])], 16, 1);
    let one = both.select(&[1]);
    let renamed = Samples::new(vec![6], one.data.clone());
    let modules = [both, one, renamed].map(|s| built(&request(onnx(), Task::Regress, s)).module);
    assert_eq!(modules[0], modules[1]);
    assert_eq!(modules[0], modules[2]);
}

#[test]
fn wrong_arrays_are_named() {
    let with = |arrays: &[(&str, &[usize])]| {
        refused(&request(heads(), Task::Classify, samples(arrays, 4, 1)))
    };
    let error = with(&[IMAGE]);
    assert!(
        error.contains("the arrays x, the model the inputs x, facts"),
        "{error}"
    );
    let error = with(&[IMAGE, FACTS, ("mean", &[1])]);
    assert!(
        error.contains("'mean' of the calibration set is for no input"),
        "{error}"
    );
    let error = with(&[IMAGE, ("facts", &[4])]);
    assert!(
        error.contains("[4]") && error.contains("'facts' has [1, 3]"),
        "{error}"
    );
    let mut labels = request(heads(), Task::Classify, samples(&[IMAGE, FACTS], 4, 1));
    labels.labels = vec!["only".into()];
    let error = refused(&labels);
    assert!(
        error.contains("the output classes has 5 elements"),
        "{error}"
    );
}

/// An autoencoder of two tensors gives both back.
#[test]
fn an_input_with_the_name_of_the_labels_is_told_so() {
    let onnx = Onnx::new(&[1, 6])
        .input("y", &[1, 6])
        .node("Add", &["x", "y"], "sum", &[])
        .file(&["sum"]);
    let error = refused(&request(onnx, Task::Regress, samples(&[("x", &[6])], 4, 1)));
    assert!(error.contains("give input y another name"), "{error}");
}

#[test]
fn a_reconstruction_is_of_all_inputs() {
    let onnx = Onnx::new(&[1, 4])
        .input("z", &[1, 3])
        .node("Tanh", &["x"], "x2", &[])
        .node("Tanh", &["z"], "z2", &[])
        .file(&["x2", "z2"]);
    let both: [(&str, &[usize]); 2] = [("x", &[4]), ("z", &[3])];
    let mut request = request(onnx, Task::Reconstruct, samples(&both, 16, 1));
    let (x, y) = (samples(&both, 8, 2), vec![0., 1., 0., 1., 0., 1., 0., 1.]);
    request.test = Some(TestSet { x, y });
    let compiled = built(&request);
    let module = Module::parse(&compiled.module).unwrap();
    let outputs = read_descriptors(module.output_descriptor()).unwrap();
    assert!(outputs.iter().all(|o| o.task == Some(Task::Reconstruct)));
    assert!(compiled.report.metric_int8.is_some());
}
