//! Attributes of an ONNX node.

use tract_onnx::pb;

use crate::onnx;
use tinsmith_build_job::Problem;

/// A node of the file with its attributes by name.
pub(crate) struct NodeView<'a> {
    node: &'a pb::NodeProto,
}

impl<'a> NodeView<'a> {
    /// A view of a checked node.
    pub(crate) fn new(node: &'a pb::NodeProto) -> Self {
        Self { node }
    }

    /// Name of an input, empty if there is none.
    pub(crate) fn input(&self, index: usize) -> &'a str {
        self.node.input.get(index).map_or("", String::as_str)
    }

    /// Number of inputs.
    pub(crate) fn input_count(&self) -> usize {
        self.node.input.len()
    }

    /// Name of an output, empty if there is none.
    pub(crate) fn output(&self, index: usize) -> &'a str {
        self.node.output.get(index).map_or("", String::as_str)
    }

    fn attribute(&self, name: &str) -> Option<&'a pb::AttributeProto> {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// A float attribute.
    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    /// A float attribute, if it is there.
    pub(crate) fn optional_float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|a| a.f)
    }

    /// A string attribute.
    pub(crate) fn string(&self, name: &str) -> String {
        let text = self
            .attribute(name)
            .map(|a| String::from_utf8_lossy(&a.s).into_owned());
        onnx::clip(&text.unwrap_or_default())
    }

    /// A list of integers, if it is there.
    pub(crate) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    /// A list of floats, if it is there.
    pub(crate) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|a| a.floats.as_slice())
    }

    /// A tensor, if it is there.
    pub(crate) fn tensor(&self, name: &str) -> Option<&'a pb::TensorProto> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// An axis attribute, counted from the front.
    pub(crate) fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize, Problem> {
        axis(name, self.int(name, default), rank)
    }
}

/// An axis counted from the front.
pub(crate) fn axis(name: &str, value: i64, rank: usize) -> Result<usize, Problem> {
    let rank_signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let front = if value < 0 {
        value + rank_signed
    } else {
        value
    };
    match usize::try_from(front) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(Problem::Attribute {
            attribute: name.into(),
            value: value.to_string(),
            rule: format!("it must name an axis of a tensor of rank {rank}"),
        }),
    }
}
