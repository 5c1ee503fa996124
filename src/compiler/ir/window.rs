//! Windows of convolutions and pools.

/// A sliding window over height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Step per output row and column.
    pub stride: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Rows and columns added before (top, left).
    pub before: [usize; 2],
    /// Rows and columns added after (bottom, right).
    pub after: [usize; 2],
}

impl Window {
    /// A window without stride, dilation and padding.
    pub(crate) fn plain(kernel: [usize; 2]) -> Self {
        Self {
            kernel,
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            after: [0; 2],
        }
    }

    /// Whether any row or column is added.
    pub(crate) fn is_padded(&self) -> bool {
        self.before != [0; 2] || self.after != [0; 2]
    }

    /// Output extent along an axis (0 height, 1 width), none if the window does not fit.
    pub(crate) fn output(&self, axis: usize, input: usize) -> Option<usize> {
        let span = (self.kernel[axis].checked_sub(1)?).checked_mul(self.dilation[axis])?;
        let padded = input
            .checked_add(self.before[axis])?
            .checked_add(self.after[axis])?;
        let room = padded.checked_sub(span.checked_add(1)?)?;
        Some(room.checked_div(self.stride[axis])? + 1)
    }

    /// The window with more rows and columns added.
    pub(crate) fn grown(&self, before: [usize; 2], after: [usize; 2]) -> Self {
        let add = |a: [usize; 2], b: [usize; 2]| [a[0] + b[0], a[1] + b[1]];
        Self {
            before: add(self.before, before),
            after: add(self.after, after),
            ..*self
        }
    }

    /// The input position that a tap reads for an output position, none in the padding.
    pub(crate) fn tap(
        &self,
        out: [usize; 2],
        tap: [usize; 2],
        extent: [usize; 2],
    ) -> Option<[usize; 2]> {
        let mut position = [0; 2];
        for axis in 0..2 {
            let padded = out[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
            position[axis] = padded
                .checked_sub(self.before[axis])
                .filter(|&p| p < extent[axis])?;
        }
        Some(position)
    }
}
