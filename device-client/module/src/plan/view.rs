//! Where a tensor lies in the arena.

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
        self.ring == self.height && (self.height <= 1 || self.row_stride as usize == self.row_bytes())
    }
}
