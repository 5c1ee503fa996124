use tract_onnx::pb::{tensor_proto::DataType, tensor_shape_proto::dimension};

use super::*;
use pb::tensor_shape_proto::Dimension;

fn dim(value: i64) -> Dimension {
    Dimension {
        value: Some(dimension::Value::DimValue(value)),
        ..Dimension::default()
    }
}

fn value(name: &str, dims: Vec<Dimension>) -> pb::ValueInfoProto {
    let tensor = pb::type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim: dims }),
    };
    pb::ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..pb::TypeProto::default()
        }),
        ..pb::ValueInfoProto::default()
    }
}

fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> pb::NodeProto {
    pb::NodeProto {
        op_type: op.into(),
        name: name.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..pb::NodeProto::default()
    }
}

fn weights(name: &str, dims: &[i64], data: &[f32]) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..pb::TensorProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: 7,
        ..pb::AttributeProto::default()
    }
}

/// An operator with the shape and the values of its weight.
type Link<'a> = (&'a str, Option<(&'a [i64], &'a [f32])>);

/// A chain of operators with one weight each or none, from `[1, inputs]` to `[1, outputs]`.
pub(crate) fn chain([inputs, outputs]: [i64; 2], operators: &[Link<'_>]) -> Vec<u8> {
    let mut model = good();
    let mut graph = pb::GraphProto {
        input: vec![value("input", vec![dim(1), dim(inputs)])],
        output: vec![value("output", vec![dim(1), dim(outputs)])],
        ..pb::GraphProto::default()
    };
    let mut before = "input".to_owned();
    for (index, (operator, weight)) in operators.iter().enumerate() {
        let last = index + 1 == operators.len();
        let after = if last {
            "output".into()
        } else {
            format!("t{index}")
        };
        let name = format!("w{index}");
        let mut all = vec![before.as_str()];
        if let Some((dims, data)) = weight {
            graph.initializer.push(weights(&name, dims, data));
            all.push(&name);
        }
        graph.node.push(node(operator, operator, &all, &after));
        before = after;
    }
    model.graph = Some(graph);
    model.encode_to_vec()
}

/// Conv, Relu on `[1, 2, 4, 4]`.
fn good() -> pb::ModelProto {
    let graph = pb::GraphProto {
        node: vec![
            node("Conv", "first", &["input", "w"], "t"),
            node("Relu", "second", &["t"], "output"),
        ],
        initializer: vec![weights("w", &[3, 2, 1, 1], &[0.5; 6])],
        input: vec![value("input", vec![dim(1), dim(2), dim(4), dim(4)])],
        output: vec![value("output", vec![dim(1), dim(3), dim(4), dim(4)])],
        ..pb::GraphProto::default()
    };
    pb::ModelProto {
        ir_version: 7,
        opset_import: vec![pb::OperatorSetIdProto {
            domain: String::new(),
            version: 13,
        }],
        graph: Some(graph),
        ..pb::ModelProto::default()
    }
}

#[test]
fn all_unknown_operators_are_told_at_once() {
    let mut model = good();
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].op_type = "Frobnicate".into();
    graph.node[1].domain = "com.example".into();
    let error = check("m", &model.encode_to_vec()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("model m: 2 nodes can't be compiled: node first"),
        "{text}"
    );
    assert!(
        text.contains("Frobnicate") && text.contains("com.example"),
        "{text}"
    );
}

fn refuse(change: impl FnOnce(&mut pb::GraphProto)) -> ModelError {
    let mut model = good();
    change(model.graph.as_mut().unwrap());
    refuse_bytes(&model.encode_to_vec())
}

fn refuse_bytes(bytes: &[u8]) -> ModelError {
    match check("m", bytes) {
        Err(CompileError::Model(error)) => {
            let text = error.sentence();
            assert!(text.starts_with("model m: "), "{text}");
            if let (Some(node), Some(operator)) = (&error.node, &error.operator) {
                assert!(
                    text.contains(&format!("node {node} ({operator})")),
                    "{text}"
                );
            }
            *error
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_good_file_passes() {
    let checked = check("m", &good().encode_to_vec()).unwrap();
    assert_eq!((checked.opset, checked.model), (13, good()));
}

#[test]
fn empty() {
    assert_eq!(refuse_bytes(b"").problem, Problem::Empty);
}

#[test]
fn truncated_anywhere() {
    let bytes = good().encode_to_vec();
    for end in 1..bytes.len() {
        let problem = refuse_bytes(&bytes[..end]).problem;
        assert!(
            matches!(
                problem,
                Problem::Malformed { .. } | Problem::NoGraph | Problem::OperatorSet { .. }
            ),
            "{end}: {problem:?}"
        );
    }
}

#[test]
fn damaged_anywhere_never_panics() {
    let bytes = good().encode_to_vec();
    for at in 0..bytes.len() {
        for flip in [1, 0x55, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            let _ = check("m", &bad);
        }
    }
}

#[test]
fn not_onnx() {
    let problem = refuse_bytes(b"%PDF-1.4 not a model").problem;
    assert!(matches!(problem, Problem::Malformed { .. }), "{problem:?}");
}

#[test]
fn cyclic() {
    let error = refuse(|g| g.node[0].input[0] = "output".into());
    assert_eq!(error.problem, Problem::Cyclic);
    assert!(error.node.is_some());
}

#[test]
fn unknown_operator() {
    let error = refuse(|g| g.node[1].op_type = "GRU".into());
    assert_eq!(
        (error.node.as_deref(), error.operator.as_deref()),
        (Some("second"), Some("GRU"))
    );
    let text = error.sentence();
    assert!(
        text.contains("not supported") && text.contains("convolutional"),
        "{text}"
    );
    assert!(text.contains("MaxPool"), "{text}");
}

#[test]
fn foreign_domain_operator() {
    let error = refuse(|g| g.node[1].domain = "com.evil".into());
    assert_eq!(
        error.problem,
        Problem::ForeignDomain {
            domain: "com.evil".into()
        }
    );
}

#[test]
fn dynamic_shapes() {
    for bad in [
        Dimension::default(),
        dim(-1),
        dim(0),
        Dimension {
            value: Some(dimension::Value::DimParam("width".into())),
            ..Dimension::default()
        },
    ] {
        let error = refuse(|g| g.input[0] = value("input", vec![dim(1), dim(2), bad, dim(4)]));
        assert!(
            matches!(error.problem, Problem::DynamicShape { .. }),
            "{error:?}"
        );
    }
    let error = refuse(|g| g.input[0].r#type = None);
    assert!(matches!(error.problem, Problem::DynamicShape { .. }));
}

#[test]
fn an_open_batch_becomes_one() {
    let mut model = good();
    let batch = Dimension {
        value: Some(dimension::Value::DimParam("batch".into())),
        ..Dimension::default()
    };
    model.graph.as_mut().unwrap().input[0] = value("input", vec![batch, dim(2), dim(4), dim(4)]);
    let checked = check("m", &model.encode_to_vec()).unwrap();
    let input = &checked.model.graph.unwrap().input[0];
    assert_eq!(*input, value("input", vec![dim(1), dim(2), dim(4), dim(4)]));
}

#[test]
fn nan_weights() {
    let mut data = [0.5; 6];
    data[4] = f32::NAN;
    let error = refuse(|g| g.initializer[0] = weights("w", &[3, 2, 1, 1], &data));
    let value = "NaN".to_owned();
    assert_eq!(
        error.problem,
        Problem::NotFinite {
            tensor: "w".into(),
            index: 4,
            value
        }
    );
}

#[test]
fn stride_zero() {
    let error = refuse(|g| g.node[0].attribute.push(ints("strides", &[0, 1])));
    assert_eq!(error.node.as_deref(), Some("first"));
    assert!(
        matches!(error.problem, Problem::Attribute { .. }),
        "{error:?}"
    );
    assert!(error.sentence().contains("strides is 0"));
}

#[test]
fn attributes_out_of_range() {
    for (name, values) in [
        ("kernel_shape", vec![0, 3]),
        ("kernel_shape", vec![1 << 40, 1]),
        ("dilations", vec![-1, 1]),
        ("pads", vec![0, 0, -3, 0]),
        ("strides", vec![]),
        ("perm", vec![0, 0, 1, 2]),
        ("axes", vec![99]),
    ] {
        let error = refuse(|g| g.node[0].attribute.push(ints(name, &values)));
        assert!(
            matches!(error.problem, Problem::Attribute { .. }),
            "{name} {error:?}"
        );
    }
    let group = pb::AttributeProto {
        name: "group".into(),
        i: 0,
        ..Default::default()
    };
    let error = refuse(|g| g.node[0].attribute.push(group));
    assert!(matches!(error.problem, Problem::Attribute { .. }));
    let epsilon = pb::AttributeProto {
        name: "epsilon".into(),
        f: f32::NAN,
        ..Default::default()
    };
    let error = refuse(|g| g.node[0].attribute.push(epsilon));
    assert!(matches!(error.problem, Problem::Attribute { .. }));
}

#[test]
fn terabyte_constant() {
    let error = refuse(|g| g.initializer[0].dims = vec![1 << 20, 1 << 20]);
    assert!(
        matches!(error.problem, Problem::TensorTooLarge { .. }),
        "{error:?}"
    );
    let error = refuse(|g| g.initializer[0].dims = vec![i64::MAX, i64::MAX, 2]);
    assert!(
        matches!(error.problem, Problem::TensorTooLarge { .. }),
        "{error:?}"
    );
    let error = refuse(|g| g.initializer[0].dims = vec![1 << 20]);
    assert!(
        matches!(error.problem, Problem::DataLength { .. }),
        "{error:?}"
    );
    // The same in a Constant node.
    let error = refuse(|g| {
        let mut constant = node("Constant", "huge", &[], "c");
        let t = Some(weights("", &[1 << 40], &[1.0]));
        constant.attribute.push(pb::AttributeProto {
            name: "value".into(),
            t,
            ..Default::default()
        });
        g.node.push(constant);
    });
    assert!(
        matches!(error.problem, Problem::TensorTooLarge { .. }),
        "{error:?}"
    );
    assert_eq!(error.node.as_deref(), Some("huge"));
}

#[test]
fn damaged_graphs() {
    let error = refuse(|g| g.node[1].input[0] = "nowhere".into());
    assert_eq!(
        error.problem,
        Problem::NotProduced {
            tensor: "nowhere".into()
        }
    );
    let error = refuse(|g| g.output[0].name = "nowhere".into());
    assert_eq!(
        error.problem,
        Problem::NotProduced {
            tensor: "nowhere".into()
        }
    );
    let error = refuse(|g| g.node[1].output[0] = "t".into());
    assert_eq!(error.problem, Problem::ProducedTwice { tensor: "t".into() });
    let error = refuse(|g| g.output[0].name = "input".into());
    assert!(matches!(error.problem, Problem::Unsupported { .. }));
    let error = refuse(|g| g.node[1].input.clear());
    assert!(matches!(error.problem, Problem::Arity { .. }));
    let error = refuse(|g| g.input.push(value("second", vec![dim(1)])));
    assert!(
        error
            .problem
            .to_string()
            .contains("nothing reads its input second")
    );
    let error = refuse(|g| {
        let more = (0..16).map(|i| value(&format!("in{i}"), vec![dim(1)]));
        g.input.extend(more);
    });
    assert_eq!(
        error.problem,
        Problem::Endpoints {
            inputs: 17,
            outputs: 1
        }
    );
    let error = refuse(|g| {
        let again = g.output[0].clone();
        g.output.push(again);
    });
    assert!(error.problem.to_string().contains("is its output twice"));
}

#[test]
fn data_outside_the_file() {
    let error = refuse(|g| g.initializer[0].data_location = Some(1));
    assert_eq!(error.problem, Problem::ExternalData { tensor: "w".into() });
    let error = refuse(|g| {
        let entry = pb::StringStringEntryProto {
            key: "location".into(),
            value: "/etc/passwd".into(),
        };
        g.initializer[0].external_data.push(entry);
    });
    assert_eq!(error.problem, Problem::ExternalData { tensor: "w".into() });
}

#[test]
fn element_types() {
    let error = refuse(|g| g.initializer[0].data_type = DataType::Float16 as i32);
    assert!(matches!(error.problem, Problem::ElementType { .. }));
    let error = refuse(|g| g.initializer[0].data_type = 9999);
    assert!(matches!(error.problem, Problem::ElementType { .. }));
}

#[test]
fn too_many_nodes() {
    let error = refuse(|g| {
        for index in 0..5_000 {
            g.node.push(node("Relu", "", &["t"], &format!("r{index}")));
        }
    });
    assert!(
        matches!(error.problem, Problem::TooMany { limit: 5_000, .. }),
        "{error:?}"
    );
}

#[test]
fn a_long_chain_out_of_order_is_sorted() {
    let mut model = good();
    let graph = model.graph.as_mut().unwrap();
    graph.node.clear();
    for index in (0..4_000).rev() {
        let from = if index == 0 {
            "input".into()
        } else {
            format!("t{}", index - 1)
        };
        let to = if index == 3_999 {
            "output".into()
        } else {
            format!("t{index}")
        };
        graph.node.push(node("Relu", "", &[&from], &to));
    }
    let checked = check("m", &model.encode_to_vec()).unwrap();
    let nodes = checked.model.graph.unwrap().node;
    assert_eq!(nodes.len(), 4_000);
    assert_eq!(
        (nodes[0].input[0].as_str(), nodes[3_999].output[0].as_str()),
        ("input", "output")
    );
}

#[test]
fn the_operator_set_matters() {
    let mut model = good();
    model.opset_import[0].version = 99;
    let problem = refuse_bytes(&model.encode_to_vec()).problem;
    assert_eq!(problem, Problem::OperatorSet { version: 99 });
}
