//! Writing modules: [`ModuleBuilder`] and the operators that it takes, [`Op`].

mod write;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use lwm2m_objects::compute::{DescriptorError, TensorDescriptor};
use sha2::{Digest, Sha256};

use crate::format::golden::{Crc32, Source};
pub use crate::format::{Segment, SegmentKind};
use crate::loader::ModuleError;
use crate::numerics::FactorError;
pub use crate::plan::{
    Add, AveragePool, Axis, Clamp, Concat, ConcatInput, Conv2d, Copy, DepthwiseConv,
    FullyConnected, Layer, Lookup, MaxPool, Mul, Op, Operand, Pad, Requantize, Softmax, View,
    Window,
};
use crate::run::Feed;

/// Why a module cannot be written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// A number does not fit its field.
    TooLarge(&'static str),
    /// Sizes that do not agree.
    Shape(&'static str),
    /// The descriptor of a tensor does not agree with itself.
    Descriptor(DescriptorError),
    /// A factor that the arithmetic cannot carry.
    Factor(FactorError),
    /// What was built does not load: a mistake of the caller that the loader names.
    Load(ModuleError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::TooLarge(what) => write!(f, "{what} does not fit the module format"),
            BuildError::Shape(what) => write!(f, "sizes do not agree: {what}"),
            BuildError::Descriptor(e) => write!(f, "the descriptor of a tensor: {e}"),
            BuildError::Factor(e) => e.fmt(f),
            BuildError::Load(e) => write!(f, "the module built does not load: {e}"),
        }
    }
}

impl core::error::Error for BuildError {}

/// An input or output tensor: what it is, and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// What 27303/x/17 or 18 says of it.
    pub descriptor: TensorDescriptor,
    /// Arena segment.
    pub segment: u8,
    /// Offset in the segment, in bytes.
    pub offset: u32,
}

/// The input of a golden entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoldenInput {
    /// Bytes of all inputs in order.
    Raw(Vec<u8>),
    /// Non-zero seed of the generator [`crate::format::golden::Xorshift32`] that fills all inputs
    /// in order.
    Seed(u32),
}

impl GoldenInput {
    /// The bytes of each input tensor, given their sizes.
    pub fn expand(&self, sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut feed = Feed::new(match self {
            GoldenInput::Raw(bytes) => Source::Raw(bytes),
            GoldenInput::Seed(seed) => Source::Seed(*seed),
        });
        sizes
            .iter()
            .map(|&size| {
                let mut bytes = vec![0; size];
                feed.fill(&mut bytes);
                bytes
            })
            .collect()
    }
}

/// A golden entry, with the results already reduced to what the module stores.
#[derive(Debug, Clone)]
struct GoldenEntry {
    input: GoldenInput,
    digest: [u8; 8],
    crcs: Vec<u32>,
}

/// Collects the parts of a module and writes it.
#[derive(Debug, Clone)]
pub struct ModuleBuilder {
    ops: Vec<Op>,
    segments: Vec<Segment>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    labels: Vec<String>,
    goldens: Vec<GoldenEntry>,
    stack_bytes: u32,
    macs: u64,
}

impl Default for ModuleBuilder {
    fn default() -> Self {
        ModuleBuilder::new()
    }
}

impl ModuleBuilder {
    /// An empty module.
    pub const fn new() -> ModuleBuilder {
        ModuleBuilder {
            ops: Vec::new(),
            segments: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            labels: Vec::new(),
            goldens: Vec::new(),
            stack_bytes: crate::kernels::STACK_BYTES,
            macs: 0,
        }
    }

    /// Adds an arena segment and returns its index.
    pub fn segment(&mut self, segment: Segment) -> u8 {
        self.segments.push(segment);
        (self.segments.len() - 1) as u8
    }

    /// Appends an operator to the plan.
    pub fn op(&mut self, op: impl Into<Op>) {
        self.ops.push(op.into());
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

    /// Bytes of stack that a run needs at most, if it is not [`crate::kernels::STACK_BYTES`].
    pub fn stack_bytes(&mut self, bytes: u32) {
        self.stack_bytes = bytes;
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&mut self, macs: u64) {
        self.macs = macs;
    }

    /// Adds a golden entry with the results it must give: the bytes of each output and of each
    /// record's result, as `spec::run` returns them.
    pub fn golden(&mut self, input: GoldenInput, outputs: &[Vec<u8>], layers: &[Vec<u8>]) {
        let mut hash = Sha256::new();
        for output in outputs {
            hash.update(output);
        }
        let mut digest = [0; 8];
        for (to, from) in digest.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        let crcs = layers
            .iter()
            .map(|layer| {
                let mut crc = Crc32::new();
                crc.update(layer);
                crc.finish()
            })
            .collect();
        self.goldens.push(GoldenEntry {
            input,
            digest,
            crcs,
        });
    }

    /// Adds a golden entry whose results `spec` computes from the module as it stands.
    #[cfg(feature = "std")]
    pub fn golden_from_spec(&mut self, input: GoldenInput) -> Result<(), BuildError> {
        let image = self.finish()?;
        let module = crate::Module::parse(&image).map_err(BuildError::Load)?;
        let sizes: Vec<usize> = module.inputs().map(|t| t.bytes as usize).collect();
        let inputs = input.expand(&sizes);
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let result = crate::spec::run(&module, &inputs)
            .map_err(|_| BuildError::Shape("a golden input and the model's inputs"))?;
        self.golden(input, &result.outputs, &result.layers);
        Ok(())
    }
}
