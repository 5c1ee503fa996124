//! Writing modules.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use crate::format::{Dtype, Segment, SegmentKind, Task};
pub use crate::plan::*;

/// Why a module cannot be written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// A number does not fit its field.
    TooLarge(&'static str),
    /// Sizes that do not agree.
    Shape(&'static str),
    /// What was built does not load: a mistake of the caller that the loader names.
    Load(crate::loader::ModuleError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::TooLarge(what) => write!(f, "{what} does not fit the module format"),
            BuildError::Shape(what) => write!(f, "sizes do not agree: {what}"),
            BuildError::Load(e) => write!(f, "the module built does not load: {e}"),
        }
    }
}

impl core::error::Error for BuildError {}

/// An input or output tensor with its descriptor.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// ONNX name.
    pub name: String,
    /// Stored type.
    pub dtype: Dtype,
    /// Arena segment.
    pub segment: u8,
    /// Offset in the segment, in bytes.
    pub offset: u32,
    /// Stored shape, channels last, without batch.
    pub shape: Vec<u32>,
    /// `permutation[i]` is the ONNX axis (without batch) that stored axis `i` is.
    pub permutation: Vec<u8>,
    /// Stored axis that the scales run along, if there is more than one.
    pub axis: Option<u8>,
    /// Scales, one or as many as the axis is long.
    pub scales: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero_points: Vec<i32>,
    /// Task of an output; [`Task::None`] for an input.
    pub task: Task,
}

/// The input of a golden entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoldenInput {
    /// Bytes of all inputs in order.
    Raw(Vec<u8>),
    /// Non-zero seed of the xorshift32 generator that fills all inputs in order.
    Seed(u32),
}

impl GoldenInput {
    /// The bytes of each input tensor, given their sizes.
    pub fn expand(&self, sizes: &[usize]) -> Vec<Vec<u8>> {
        let _ = sizes;
        Vec::new()
    }
}

/// Collects the parts of a module and writes it.
#[derive(Debug, Clone, Default)]
pub struct ModuleBuilder {
    ops: Vec<Op>,
    segments: Vec<Segment>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    labels: Vec<String>,
    stack_bytes: u32,
    macs: u64,
}

impl ModuleBuilder {
    /// An empty module.
    pub fn new() -> ModuleBuilder {
        ModuleBuilder::default()
    }

    /// Adds an arena segment and returns its index.
    pub fn segment(&mut self, segment: Segment) -> u8 {
        self.segments.push(segment);
        (self.segments.len() - 1) as u8
    }

    /// Appends an operator to the plan.
    pub fn op(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Adds an input tensor.
    pub fn input(&mut self, tensor: TensorSpec) {
        self.inputs.push(tensor);
    }

    /// Adds an output tensor.
    pub fn output(&mut self, tensor: TensorSpec) {
        self.outputs.push(tensor);
    }

    /// Adds a class name.
    pub fn label(&mut self, label: impl Into<String>) {
        self.labels.push(label.into());
    }

    /// Bytes of stack that a run needs at most.
    pub fn stack_bytes(&mut self, bytes: u32) {
        self.stack_bytes = bytes;
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&mut self, macs: u64) {
        self.macs = macs;
    }

    /// Adds a golden entry with the results it must give: the bytes of each output and of each
    /// record's result, as `spec::run` returns them.
    pub fn golden(&mut self, input: &GoldenInput, outputs: &[Vec<u8>], layers: &[Vec<u8>]) {
        let _ = (input, outputs, layers);
    }

    /// Adds a golden entry whose results `spec` computes from the module as it stands.
    #[cfg(feature = "std")]
    pub fn golden_from_spec(&mut self, input: GoldenInput) -> Result<(), BuildError> {
        self.golden(&input, &[], &[]);
        Ok(())
    }

    /// Writes the module. The same calls give the same bytes; the image loads.
    pub fn finish(&self) -> Result<Vec<u8>, BuildError> {
        Ok(Vec::new())
    }
}
