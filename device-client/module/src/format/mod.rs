//! The bytes of a module: header, sections, tensors, golden inputs, what records are made of
//! (`docs/module-format.md`).

mod error;
pub mod golden;
pub mod header;
pub(crate) mod io;
pub(crate) mod labels;
mod problem;
pub mod record;

pub use error::ModuleError;
pub use problem::Problem;

use lwm2m_objects::compute::{DType, Task};

/// Version of the container that this crate reads and writes.
pub const CONTAINER_VERSION: u16 = 1;
/// Version of the arithmetic, `docs/numerics.md` (27300/x/3 does not cover it).
pub const NUMERICS_VERSION: u16 = 1;
/// Version of the interface between client and module (27300/x/3).
pub const ABI_VERSION: u16 = 1;
/// Bytes that the address of an image must be a multiple of.
pub const IMAGE_ALIGN: usize = 32;

/// What an arena segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentKind {
    /// Undefined between runs.
    Scratch = 0,
    /// Kept between the steps of a sequence.
    State = 1,
    /// Scratch in the fastest memory there is.
    Fast = 2,
    /// Scratch that an accelerator reads and writes.
    Dma = 3,
}

impl SegmentKind {
    pub(crate) const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            0 => Self::Scratch,
            1 => Self::State,
            2 => Self::Fast,
            3 => Self::Dma,
            _ => return None,
        })
    }
}

/// One segment of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Bytes.
    pub size: u32,
    /// A power of two up to 4096, in bytes.
    pub align: u32,
    /// Purpose.
    pub kind: SegmentKind,
}

/// Where an input or output tensor lies, and the part of its descriptor that a device uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// Index of the arena segment.
    pub segment: u8,
    /// Offset in the segment, in bytes.
    pub offset: u32,
    /// Bytes, dense.
    pub bytes: u32,
    /// Stored type.
    pub dtype: DType,
    /// Of an output.
    pub task: Option<Task>,
    /// Scale, of the first index of the quantization axis if there is one.
    pub scale: f32,
    /// Zero point, likewise.
    pub zero_point: i32,
}

/// Bits of the required instruction sets in the header.
pub mod isa {
    /// Thumb of ARMv6-M.
    pub const THUMB: u32 = 1 << 0;
    /// Thumb-2 of ARMv7-M.
    pub const THUMB2: u32 = 1 << 1;
    /// DSP extension of ARMv7E-M.
    pub const DSP: u32 = 1 << 2;
    /// Single precision floating point.
    pub const FP_SINGLE: u32 = 1 << 3;
    /// Double precision floating point.
    pub const FP_DOUBLE: u32 = 1 << 4;
    /// Integer vectors of ARMv8.1-M.
    pub const MVE_INT: u32 = 1 << 5;
    /// Floating point vectors of ARMv8.1-M.
    pub const MVE_FLOAT: u32 = 1 << 6;
}
