//! Writing modules: [`ModuleBuilder`] and the operators that it takes, [`Op`], one file each.

mod add;
mod average_pool;
mod call;
mod concat;
mod conv2d;
mod copy;
mod depthwise_conv;
mod fully_connected;
mod layer;
mod lookup;
mod max_pool;
mod mul;
mod operand;
mod pad;
mod requantize;
mod softmax;
mod write;
mod writer;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use lwm2m_objects::compute::{DescriptorError, TensorDescriptor};
use sha2::{Digest, Sha256};

use crate::format::golden::{Crc32, Source};
use crate::format::{ModuleError, record};
pub use crate::format::{Segment, SegmentKind};
use crate::numerics::FactorError;
use crate::plan::operators;
pub use crate::plan::{Axis, Clamp, View, Window};
use crate::run::Feed;
pub use call::Call;
pub use concat::ConcatInput;
pub use layer::Layer;
pub use operand::Operand;

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

macro_rules! writers {
    ($($id:literal $version:literal $module:ident $kernel:ident $name:ident
       $record:ident $(<$life:lifetime>)?;)*) => {
        $(pub use $module::$name;)*

        /// One operator of a plan, as the compiler gives it to the builder.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Op {
            $($name($name),)*
            Call(Call),
        }

        impl Op {
            /// Operator number, which is the kernel's id.
            pub fn id(&self) -> u16 {
                match self {
                    $(Op::$name(_) => $id,)*
                    Op::Call(_) => record::CALL,
                }
            }

            fn encode(&self, w: &mut writer::Writer<'_>) -> Result<(), BuildError> {
                match self {
                    $(Op::$name(op) => op.encode(w),)*
                    Op::Call(call) => call.encode(w),
                }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}
operators!(writers);

impl From<Call> for Op {
    fn from(call: Call) -> Op {
        Op::Call(call)
    }
}

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
    /// Bytes of all inputs in order, run by run.
    Raw(Vec<u8>),
    /// Non-zero seed of the generator [`crate::format::golden::Xorshift32`] that fills all inputs
    /// in order, run by run.
    Seed(u32),
}

impl GoldenInput {
    /// The bytes of each input tensor, given their sizes; of several runs, those of the first run
    /// first.
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
    steps: u16,
    digest: [u8; 8],
    crcs: Vec<u32>,
}

/// Collects the parts of a module and writes it.
#[derive(Debug, Clone)]
pub struct ModuleBuilder {
    ops: Vec<Op>,
    segments: Vec<Segment>,
    reset: Vec<u8>,
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
            reset: Vec::new(),
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

    /// What the state segments hold at reset, one after another; zeros if it is not told.
    pub fn reset(&mut self, bytes: Vec<u8>) {
        self.reset = bytes;
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

    /// Adds a golden entry of one run with the results it must give: the bytes of each output and of
    /// each record's result, as `spec::run` returns them.
    pub fn golden(&mut self, input: GoldenInput, outputs: &[Vec<u8>], layers: &[Vec<u8>]) {
        self.golden_sequence(input, 1, outputs, layers);
    }

    /// Adds a golden entry of consecutive runs, the first of them after a reset: the bytes of each
    /// output, run by run, and of each record's result in the last run.
    pub fn golden_sequence(
        &mut self,
        input: GoldenInput,
        steps: u16,
        outputs: &[Vec<u8>],
        layers: &[Vec<u8>],
    ) {
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
            steps,
            digest,
            crcs,
        });
    }

    /// The same module with the record that each call stands for in its place.
    pub fn without_calls(&self) -> ModuleBuilder {
        let mut plain = self.clone();
        for op in &mut plain.ops {
            while let Op::Call(call) = op {
                *op = (*call.stands_for).clone();
            }
        }
        plain
    }

    /// Adds a golden entry whose results `spec` computes from the module as it stands.
    #[cfg(feature = "std")]
    pub fn golden_from_spec(&mut self, input: GoldenInput) -> Result<(), BuildError> {
        self.golden_sequence_from_spec(input, 1)
    }

    /// As [`golden_from_spec`](Self::golden_from_spec), of consecutive runs after a reset.
    #[cfg(feature = "std")]
    pub fn golden_sequence_from_spec(
        &mut self,
        input: GoldenInput,
        steps: u16,
    ) -> Result<(), BuildError> {
        let image = self.without_calls().finish()?;
        let module = crate::Module::parse(&image).map_err(BuildError::Load)?;
        let sizes: Vec<usize> = module.inputs().map(|t| t.bytes as usize).collect();
        let inputs = input.expand(&sizes.repeat(usize::from(steps)));
        let mut interpreter = crate::spec::Interpreter::new(&module);
        let (mut outputs, mut layers) = (Vec::new(), Vec::new());
        let mut inputs = inputs.iter().map(Vec::as_slice);
        for _ in 0..steps {
            let step: Vec<&[u8]> = inputs.by_ref().take(sizes.len()).collect();
            let result = interpreter.run(&step);
            let result =
                result.map_err(|_| BuildError::Shape("a golden input and the model's inputs"))?;
            outputs.extend(result.outputs);
            layers = result.layers;
        }
        self.golden_sequence(input, steps, &outputs, &layers);
        Ok(())
    }
}
