//! The memory of a run.

use core::fmt;

use crate::format::Tensor;
use crate::format::header::{MAX_SEGMENTS, Segments};
use crate::plan::Span;

/// Why a run could not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The arena has fewer bytes than all segments take.
    ArenaTooSmall {
        /// Bytes needed.
        needed: usize,
    },
    /// A segment has fewer bytes than the module says, or is missing.
    SegmentTooSmall {
        /// Index of the segment.
        segment: usize,
        /// Bytes needed.
        needed: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::ArenaTooSmall { needed } => write!(f, "the model needs {needed} B of arena"),
            RunError::SegmentTooSmall { segment, needed } => {
                write!(f, "the model needs {needed} B of arena segment {segment}")
            }
        }
    }
}

impl core::error::Error for RunError {}

/// A slice for each arena segment of a module; segments may lie in different memories.
#[derive(Debug)]
pub struct Arena<'a> {
    segments: [&'a mut [u8]; MAX_SEGMENTS],
}

fn none<'a>() -> [&'a mut [u8]; MAX_SEGMENTS] {
    core::array::from_fn(|_| &mut [][..])
}

impl<'a> Arena<'a> {
    /// Segments in memories of their own, in the order of the module's.
    ///
    /// # Errors
    /// A segment is shorter than the module says, or missing.
    pub fn new(
        places: Segments<'_>,
        memories: impl IntoIterator<Item = &'a mut [u8]>,
    ) -> Result<Self, RunError> {
        let mut memories = memories.into_iter();
        let mut segments = none();
        for (segment, (place, slot)) in (0..).zip(places.iter().zip(&mut segments)) {
            let needed = place.size as usize;
            let memory = memories.next().and_then(|memory| memory.get_mut(..needed));
            *slot = memory.ok_or(RunError::SegmentTooSmall { segment, needed })?;
        }
        Ok(Arena { segments })
    }

    /// All segments in one memory.
    ///
    /// # Errors
    /// The memory is too small.
    pub fn in_one(places: Segments<'_>, memory: &'a mut [u8]) -> Result<Self, RunError> {
        let needed = places.total();
        let small = RunError::ArenaTooSmall { needed };
        let mut rest = memory.get_mut(..needed).ok_or(small)?;
        let mut segments = none();
        let mut end = 0;
        for (place, slot) in places.iter().zip(&mut segments) {
            let gap = (place.base as usize).checked_sub(end).ok_or(small)?;
            let (_, behind) = rest.split_at_mut_checked(gap).ok_or(small)?;
            let (segment, behind) = behind
                .split_at_mut_checked(place.size as usize)
                .ok_or(small)?;
            *slot = segment;
            rest = behind;
            end = (place.base + place.size) as usize;
        }
        Ok(Arena { segments })
    }

    /// The bytes of an input or output tensor.
    pub fn tensor(&self, tensor: &Tensor) -> &[u8] {
        self.segment(tensor.segment)
            .get(tensor.offset as usize..)
            .and_then(|rest| rest.get(..tensor.bytes as usize))
            .unwrap_or_default()
    }

    /// As [`tensor`](Self::tensor).
    pub fn tensor_mut(&mut self, tensor: &Tensor) -> &mut [u8] {
        self.segment_mut(tensor.segment)
            .get_mut(tensor.offset as usize..)
            .and_then(|rest| rest.get_mut(..tensor.bytes as usize))
            .unwrap_or_default()
    }

    /// The bytes of a view, from its first to its last.
    pub fn span(&self, span: &Span) -> &[u8] {
        self.segment(span.segment)
            .get(span.start..span.end())
            .unwrap_or_default()
    }

    /// As [`span`](Self::span).
    pub fn span_mut(&mut self, span: &Span) -> &mut [u8] {
        self.segment_mut(span.segment)
            .get_mut(span.start..span.end())
            .unwrap_or_default()
    }

    #[inline]
    pub(crate) fn segment(&self, segment: u8) -> &[u8] {
        self.segments
            .get(usize::from(segment))
            .map_or(&[], |bytes| bytes)
    }

    #[inline]
    pub(crate) fn segment_mut(&mut self, segment: u8) -> &mut [u8] {
        match self.segments.get_mut(usize::from(segment)) {
            Some(bytes) => bytes,
            None => &mut [],
        }
    }

    /// Two parts that do not touch, each beginning at its span: the loader has checked that.
    pub(crate) fn split(&mut self, read: &Span, write: &Span) -> (&[u8], &mut [u8]) {
        let [a, b] = [read.segment, write.segment].map(usize::from);
        if a == b {
            let memory = self.segment_mut(read.segment);
            return if read.start < write.start {
                let (low, high) = memory.split_at_mut(write.start);
                (&low[read.start..], &mut high[..write.extent()])
            } else {
                let (low, high) = memory.split_at_mut(read.start);
                (&high[..read.extent()], &mut low[write.start..])
            };
        }
        match self.segments.get_disjoint_mut([a, b]) {
            Ok([from, to]) => (&from[read.start..], &mut to[write.start..]),
            Err(_) => (&[], &mut []),
        }
    }
}
