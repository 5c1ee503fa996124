//! The fixed header, the arena segments, the required kernels and the table of sections.

use super::{CONTAINER_VERSION, NUMERICS_VERSION, SegmentKind};
use crate::loader::ModuleError;

/// First bytes of an image.
pub const MAGIC: [u8; 4] = *b"TNSM";
/// Bytes of the fixed part.
pub const HEADER_BYTES: usize = 48;
/// Bytes of an entry of the segment table.
pub const SEGMENT_BYTES: usize = 8;
/// Bytes of an entry of the kernel table.
pub const KERNEL_BYTES: usize = 4;
/// Bytes of an entry of the section table.
pub const SECTION_BYTES: usize = 12;
/// Most segments that a module can have.
pub const MAX_SEGMENTS: usize = 8;
/// Largest alignment of a segment, as a power of two.
pub const MAX_ALIGN_LOG2: u8 = 12;
/// Bit of a section's kind: a reader that does not know the section must refuse the module.
pub const MUST_UNDERSTAND: u16 = 0x8000;

/// Kinds of sections.
pub mod section {
    /// Records to execute.
    pub const PLAN: u16 = 1;
    /// Machine code.
    pub const CODE: u16 = 2;
    /// Weights and tables.
    pub const CONST: u16 = 3;
    /// Input and output tensors.
    pub const IO: u16 = 4;
    /// Class names.
    pub const LABELS: u16 = 5;
    /// Golden inputs with their results.
    pub const GOLDEN: u16 = 6;
    /// Reserved for work on the input before the plan.
    pub const PREPROCESS: u16 = 7;
}

/// Place and size of each arena segment; the segments follow each other in one arena.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segments {
    count: u8,
    base: [u32; MAX_SEGMENTS],
    size: [u32; MAX_SEGMENTS],
    total: u32,
}

impl Segments {
    pub(crate) fn get(&self, segment: u8) -> Option<(u32, u32)> {
        let i = usize::from(segment);
        if segment >= self.count {
            return None;
        }
        Some((*self.base.get(i)?, *self.size.get(i)?))
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    fn push(&mut self, size: u32, align_log2: u8) -> Result<(), ModuleError> {
        if align_log2 > MAX_ALIGN_LOG2 {
            return Err(ModuleError::Segment(self.count));
        }
        let align = 1u32 << align_log2;
        let base = self.total.checked_next_multiple_of(align);
        // Addresses of a 32-bit device, with its sign bit free.
        let end = base
            .and_then(|b| b.checked_add(size))
            .filter(|&e| e <= i32::MAX as u32);
        let i = usize::from(self.count);
        match (base, end, self.base.get_mut(i), self.size.get_mut(i)) {
            (Some(base), Some(end), Some(base_slot), Some(size_slot)) => {
                *base_slot = base;
                *size_slot = size;
                self.total = end;
                self.count += 1;
                Ok(())
            }
            _ => Err(ModuleError::Segment(self.count)),
        }
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'m> {
    pub(crate) abi: u16,
    pub(crate) length: usize,
    pub(crate) stack_bytes: u32,
    pub(crate) macs: u64,
    pub(crate) instruction_sets: u32,
    pub(crate) segments: Segments,
    pub(crate) kernels: &'m [[u8; KERNEL_BYTES]],
    pub(crate) sections: &'m [[u8; SECTION_BYTES]],
    pub(crate) end: usize,
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u16::from_le_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u32::from_le_bytes(*b))
}

fn table<const N: usize>(bytes: &[u8], at: usize, count: usize) -> Option<&[[u8; N]]> {
    bytes.get(at..)?.get(..count * N).map(|t| t.as_chunks().0)
}

impl<'m> Header<'m> {
    pub(crate) fn parse(image: &'m [u8]) -> Result<Header<'m>, ModuleError> {
        let fixed: &[u8; HEADER_BYTES] = image.first_chunk().ok_or(ModuleError::Truncated)?;
        let u16_of = |at| u16_at(fixed, at).unwrap_or(0);
        let u32_of = |at| u32_at(fixed, at).unwrap_or(0);
        if !fixed.starts_with(&MAGIC) {
            return Err(ModuleError::Magic);
        }
        if u16_of(4) != CONTAINER_VERSION {
            return Err(ModuleError::ContainerVersion(u16_of(4)));
        }
        if u16_of(6) != NUMERICS_VERSION {
            return Err(ModuleError::NumericsVersion(u16_of(6)));
        }
        let length = u32_of(12) as usize;
        if length > image.len() {
            return Err(ModuleError::Truncated);
        }
        let image = image.get(..length).ok_or(ModuleError::Truncated)?;
        let [segment_count, kernel_count, section_count, zero] = u32_of(40).to_le_bytes();
        if u16_of(10) != 0 || zero != 0 || u32_of(44) != 0 {
            return Err(ModuleError::Reserved);
        }
        // Entry points belong to CODE, which this version of the container does not carry yet.
        if u32_of(20) != 0 || u32_of(24) != 0 {
            return Err(ModuleError::EntryPoint);
        }

        let at = HEADER_BYTES;
        let count = usize::from(segment_count);
        let entries: &[[u8; SEGMENT_BYTES]] =
            table(image, at, count).ok_or(ModuleError::Truncated)?;
        let mut segments = Segments::default();
        for (i, entry) in entries.iter().enumerate() {
            let [a, b, c, d, kind, align_log2, reserved @ ..] = *entry;
            if kind > SegmentKind::Dma as u8 || reserved != [0, 0] {
                return Err(ModuleError::Segment(i as u8));
            }
            segments.push(u32::from_le_bytes([a, b, c, d]), align_log2)?;
        }
        let at = at + count * SEGMENT_BYTES;
        let count = usize::from(kernel_count);
        let kernels = table(image, at, count).ok_or(ModuleError::Truncated)?;
        let at = at + count * KERNEL_BYTES;
        let count = usize::from(section_count);
        let sections = table(image, at, count).ok_or(ModuleError::Truncated)?;
        Ok(Header {
            abi: u16_of(8),
            length,
            stack_bytes: u32_of(16),
            macs: u64::from(u32_of(28)) | u64::from(u32_of(32)) << 32,
            instruction_sets: u32_of(36),
            segments,
            kernels,
            sections,
            end: at + count * SECTION_BYTES,
        })
    }

    /// Required kernels as (id, version).
    pub(crate) fn kernels(&self) -> impl Iterator<Item = (u16, u16)> + 'm {
        self.kernels
            .iter()
            .map(|&[a, b, c, d]| (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
    }
}
