//! Where a tensor lies: [`View`] as the plan says it, [`Span`] as the kernels use it.

use super::Problem;

/// A channels-last tensor of bytes in an arena segment: element `(y, x, c)` is at
/// `offset + (y % ring) * row_stride + x * channels + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Index of the arena segment.
    pub segment: u8,
    /// Offset of the first element in the segment, in bytes.
    pub offset: u32,
    /// Rows; 1 for a one-dimensional tensor.
    pub height: u32,
    /// Elements per row.
    pub width: u32,
    /// Channels per element.
    pub channels: u32,
    /// Bytes from one row to the next.
    pub row_stride: u32,
    /// Rows held at a time; `height` when the whole tensor is.
    pub ring: u32,
}

impl View {
    /// A whole tensor without gaps between its rows.
    pub const fn dense(segment: u8, offset: u32, height: u32, width: u32, channels: u32) -> View {
        View {
            segment,
            offset,
            height,
            width,
            channels,
            row_stride: width.saturating_mul(channels),
            ring: height,
        }
    }

    /// Bytes of one row.
    pub const fn row_bytes(&self) -> usize {
        self.width as usize * self.channels as usize
    }

    /// Bytes of the whole tensor, without the gaps between rows.
    pub const fn bytes(&self) -> usize {
        self.row_bytes() * self.height as usize
    }

    /// Whether the elements follow each other without a gap.
    pub const fn is_dense(&self) -> bool {
        self.ring == self.height
            && (self.height <= 1 || self.row_stride as usize == self.row_bytes())
    }
}

/// A channels-last tensor of bytes in a memory: element `(y, x, c)` is at
/// `start + (y % ring) * row_stride + x * channels + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the arena segment.
    pub segment: u8,
    /// First byte in the segment.
    pub start: usize,
    /// Rows.
    pub height: usize,
    /// Elements per row.
    pub width: usize,
    /// Channels per element.
    pub channels: usize,
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Rows held at a time.
    pub ring: usize,
}

impl Span {
    /// A whole tensor without gaps between its rows, in the first segment.
    pub const fn dense(start: usize, height: usize, width: usize, channels: usize) -> Span {
        Span {
            segment: 0,
            start,
            height,
            width,
            channels,
            row_stride: width * channels,
            ring: height,
        }
    }

    /// Bytes of one row.
    #[inline]
    pub const fn row_bytes(&self) -> usize {
        self.width * self.channels
    }

    /// First byte of row `y`.
    #[inline]
    pub const fn row(&self, y: usize) -> usize {
        self.start + self.slot(y) * self.row_stride
    }

    #[inline]
    const fn slot(&self, y: usize) -> usize {
        if self.ring == self.height {
            y
        } else {
            y % self.ring
        }
    }

    /// Row `y` in a slice that begins at `start`.
    #[inline]
    pub fn row_of<'a>(&self, bytes: &'a [u8], y: usize) -> &'a [u8] {
        let at = self.slot(y) * self.row_stride;
        &bytes[at..at + self.row_bytes()]
    }

    /// Row `y` in a slice that begins at `start`.
    #[inline]
    pub fn row_of_mut<'a>(&self, bytes: &'a mut [u8], y: usize) -> &'a mut [u8] {
        let at = self.slot(y) * self.row_stride;
        &mut bytes[at..at + self.row_bytes()]
    }

    /// Bytes from the first to the last, gaps between rows included.
    pub const fn extent(&self) -> usize {
        self.ring.saturating_sub(1) * self.row_stride + self.row_bytes()
    }

    /// The byte after the last.
    pub const fn end(&self) -> usize {
        self.start + self.extent()
    }

    /// Bytes without gaps.
    pub const fn bytes(&self) -> usize {
        self.row_bytes() * self.height
    }

    /// Whether the elements follow each other without a gap.
    pub const fn is_dense(&self) -> bool {
        self.ring == self.height && (self.height <= 1 || self.row_stride == self.row_bytes())
    }

    /// Whether the two have equal dimensions.
    pub const fn same_shape(&self, other: &Span) -> bool {
        self.height == other.height && self.width == other.width && self.channels == other.channels
    }

    /// Refuses memory shared with `other`.
    pub(crate) const fn disjoint(&self, other: &Span) -> Result<(), Problem> {
        if self.segment != other.segment || self.end() <= other.start || other.end() <= self.start {
            Ok(())
        } else {
            Err(Problem::Overlap)
        }
    }

    /// Refuses memory shared with `output`, unless the two are the same elements.
    pub(crate) fn disjoint_or_same(&self, output: &Span) -> Result<(), Problem> {
        if self == output {
            Ok(())
        } else {
            self.disjoint(output)
        }
    }
}
