//! ONNX files made by hand, for tests.

pub(crate) mod graphs;

use prost::Message;
use tract_onnx::pb::{self, attribute_proto::AttributeType, tensor_proto::DataType};

/// A graph under construction.
pub(crate) struct Onnx {
    graph: pb::GraphProto,
    opset: i64,
}

/// An attribute.
pub(crate) fn ints(name: &str, values: &[i64]) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: AttributeType::Ints as i32,
        ..Default::default()
    }
}

/// An attribute.
pub(crate) fn int(name: &str, value: i64) -> pb::AttributeProto {
    pb::AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int as i32,
        ..Default::default()
    }
}

/// Numbers between -1 and 1 that depend on the seed only.
pub(crate) fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn port(name: &str, shape: &[usize]) -> pb::ValueInfoProto {
    let dim = |&extent: &usize| pb::tensor_shape_proto::Dimension {
        value: Some(pb::tensor_shape_proto::dimension::Value::DimValue(
            extent as i64,
        )),
        ..Default::default()
    };
    let tensor = pb::type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(pb::TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    pb::ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Onnx {
    /// A graph with the input `x`.
    pub(crate) fn new(input: &[usize]) -> Self {
        let graph = pb::GraphProto {
            input: vec![port("x", input)],
            ..Default::default()
        };
        Self { graph, opset: 13 }
    }

    /// Another input.
    pub(crate) fn input(mut self, name: &str, shape: &[usize]) -> Self {
        self.graph.input.push(port(name, shape));
        self
    }

    /// A constant with values from [`values`], called `name`.
    pub(crate) fn weights(mut self, name: &str, shape: &[usize]) -> Self {
        let seed = name.bytes().map(u32::from).sum::<u32>() + 7;
        let count: usize = shape.iter().product();
        let fan = (count / shape[0].max(1)).max(1) as f32;
        let data = values(count, seed);
        self.graph.initializer.push(pb::TensorProto {
            name: name.into(),
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: data.iter().map(|v| v / fan.sqrt()).collect(),
            ..Default::default()
        });
        self
    }

    /// A constant with these values.
    pub(crate) fn constant(mut self, name: &str, shape: &[usize], data: &[f32]) -> Self {
        self.graph.initializer.push(pb::TensorProto {
            name: name.into(),
            dims: shape.iter().map(|&d| d as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: data.to_vec(),
            ..Default::default()
        });
        self
    }

    /// A constant of integers.
    pub(crate) fn integers(mut self, name: &str, data: &[i64]) -> Self {
        self.graph.initializer.push(pb::TensorProto {
            name: name.into(),
            dims: vec![data.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: data.to_vec(),
            ..Default::default()
        });
        self
    }

    /// A node that is called like its output.
    pub(crate) fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[pb::AttributeProto],
    ) -> Self {
        self.graph.node.push(pb::NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.into()],
            attribute: attributes.to_vec(),
            ..Default::default()
        });
        self
    }

    /// The file; `outputs` are those of the graph.
    pub(crate) fn file(mut self, outputs: &[&str]) -> Vec<u8> {
        for name in outputs {
            self.graph.output.push(pb::ValueInfoProto {
                name: (*name).into(),
                ..Default::default()
            });
        }
        let opset = pb::OperatorSetIdProto {
            domain: String::new(),
            version: self.opset,
        };
        pb::ModelProto {
            ir_version: 7,
            opset_import: vec![opset],
            graph: Some(self.graph),
            ..Default::default()
        }
        .encode_to_vec()
    }
}
