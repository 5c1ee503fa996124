//! Reading an image that nobody vouches for.

use core::fmt;
use core::ops::Range;

use crate::format::Tensor;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleError {
    /// The image ends before what its header promises.
    Truncated,
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the module is truncated")
    }
}

impl core::error::Error for ModuleError {}

/// What the machine that a module is to run on offers.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// ABI version of the client, 27300/x/3.
    pub abi: u16,
    /// Resident kernels as (id, version), 27301/x/10.
    pub kernels: &'a [(u16, u16)],
    /// Instruction sets for native code, bits of [`crate::format::isa`].
    pub instruction_sets: u32,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes of stack that a run may use.
    pub stack_bytes: usize,
}

/// Why a good module cannot run on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Built for another ABI.
    Abi {
        /// ABI version of the module.
        module: u16,
        /// ABI version of the host.
        host: u16,
    },
    /// A kernel is not resident.
    Kernel {
        /// Kernel id.
        id: u16,
        /// Version the module needs.
        version: u16,
    },
    /// Instruction sets that the host lacks.
    InstructionSets {
        /// Bits of [`crate::format::isa`].
        missing: u32,
    },
    /// The arena is too small.
    Arena {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
    /// The stack is too small.
    Stack {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
}

/// A checked image.
#[derive(Debug, Clone, Copy)]
pub struct Module<'m> {
    image: &'m [u8],
}

impl<'m> Module<'m> {
    /// Checks an image; what it returns can be run without a further look at the bytes. Bytes
    /// after the image's own length (a slot is larger) are ignored.
    pub fn parse(image: &'m [u8]) -> Result<Module<'m>, ModuleError> {
        if image.is_empty() {
            return Err(ModuleError::Truncated);
        }
        Ok(Module { image })
    }

    /// Whether this host can run the module.
    pub fn check_host(&self, _host: &Host<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// The image without what follows it.
    pub fn image(&self) -> &'m [u8] {
        self.image
    }

    /// Bytes of arena that a run needs.
    pub fn arena_bytes(&self) -> usize {
        0
    }

    /// Bytes of stack that a run needs at most.
    pub fn stack_bytes(&self) -> u32 {
        0
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        0
    }

    /// Records in the plan.
    pub fn layer_count(&self) -> usize {
        0
    }

    /// Input tensors in order.
    pub fn inputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        core::iter::empty()
    }

    /// Output tensors in order.
    pub fn outputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        core::iter::empty()
    }

    /// Bytes of input tensor `i` in the arena.
    pub fn input_range(&self, _i: usize) -> Option<Range<usize>> {
        None
    }

    /// Bytes of output tensor `i` in the arena.
    pub fn output_range(&self, _i: usize) -> Option<Range<usize>> {
        None
    }

    /// The CBOR array of 27303/x/17.
    pub fn input_descriptor(&self) -> &'m [u8] {
        &[]
    }

    /// The CBOR array of 27303/x/18.
    pub fn output_descriptor(&self) -> &'m [u8] {
        &[]
    }

    /// Class names in order, 27303/x/19.
    pub fn labels(&self) -> impl Iterator<Item = &'m str> + 'm {
        core::iter::empty()
    }

    /// Golden inputs.
    pub fn golden_count(&self) -> usize {
        0
    }
}
