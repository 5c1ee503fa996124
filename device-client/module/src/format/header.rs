//! The fixed header, the arena segments, the required kernels and the table of sections.

use super::{CONTAINER_VERSION, ModuleError, NUMERICS_VERSION, SegmentKind};

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
    /// What the state segments hold at reset.
    pub const RESET: u16 = 8;
}

/// The arena segments of a module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Segments<'m> {
    table: &'m [[u8; SEGMENT_BYTES]],
}

/// Where a segment lies if all follow each other in one memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub base: u32,
    /// Bytes.
    pub size: u32,
    /// What it is for.
    pub kind: SegmentKind,
}

impl<'m> Segments<'m> {
    fn parse(table: &'m [[u8; SEGMENT_BYTES]]) -> Result<Self, ModuleError> {
        if table.len() > MAX_SEGMENTS {
            return Err(ModuleError::Segment(MAX_SEGMENTS as u8));
        }
        let segments = Segments { table };
        match segments.iter().count() {
            good if good == table.len() => Ok(segments),
            bad => Err(ModuleError::Segment(bad as u8)),
        }
    }

    /// Bytes of a segment.
    pub(crate) fn size(&self, segment: u8) -> Option<u32> {
        let [a, b, c, d, ..] = *self.table.get(usize::from(segment))?;
        Some(u32::from_le_bytes([a, b, c, d]))
    }

    /// The segments in order, and where they lie if all are in one memory.
    pub fn iter(&self) -> impl Iterator<Item = Place> + 'm {
        // Up to the first that is wrong, of which a module has none.
        let mut end = 0u32;
        self.table.iter().map_while(move |entry| {
            let [a, b, c, d, kind, align_log2, 0, 0] = *entry else {
                return None;
            };
            let kind = SegmentKind::from_u8(kind)?;
            if align_log2 > MAX_ALIGN_LOG2 {
                return None;
            }
            let size = u32::from_le_bytes([a, b, c, d]);
            let base = end.checked_next_multiple_of(1 << align_log2)?;
            // Addresses of a 32-bit device, with its sign bit free.
            end = base.checked_add(size).filter(|&e| e <= i32::MAX as u32)?;
            Some(Place { base, size, kind })
        })
    }

    /// The first byte of a segment in one memory.
    pub(crate) fn base(&self, segment: u8) -> Option<u32> {
        self.iter()
            .nth(usize::from(segment))
            .map(|place| place.base)
    }

    /// Bytes of all in one memory.
    pub fn total(&self) -> usize {
        let ends = self.iter().map(|place| place.base + place.size);
        ends.fold(0, |_, end| end) as usize
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
    pub(crate) segments: Segments<'m>,
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
        let entries = table(image, at, count).ok_or(ModuleError::Truncated)?;
        let segments = Segments::parse(entries)?;
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
