//! The geometry of operators that slide a window over rows and columns.

use super::{Problem, Span};

/// A window; output row `y` reads input rows `y * stride_y - pad_top + k * dilation_y`. Rows and
/// columns outside the input are padding; how much there is at the bottom and the right follows
/// from the size of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows of the window.
    pub kernel_height: u32,
    /// Columns of the window.
    pub kernel_width: u32,
    /// Rows from one output to the next.
    pub stride_y: u32,
    /// Columns from one output to the next.
    pub stride_x: u32,
    /// Rows from one tap to the next.
    pub dilation_y: u32,
    /// Columns from one tap to the next.
    pub dilation_x: u32,
    /// Rows of padding above the input.
    pub pad_top: u32,
    /// Columns of padding left of the input.
    pub pad_left: u32,
}

impl Window {
    /// A window of the given size, stride 1, without dilation or padding.
    pub const fn new(kernel_height: u32, kernel_width: u32) -> Window {
        Window {
            kernel_height,
            kernel_width,
            stride_y: 1,
            stride_x: 1,
            dilation_y: 1,
            dilation_x: 1,
            pad_top: 0,
            pad_left: 0,
        }
    }

    /// Taps of the window.
    pub const fn taps(&self) -> usize {
        self.kernel_height as usize * self.kernel_width as usize
    }

    /// Elements of one channel that a window covers, at most.
    pub(crate) fn reach(&self, input: &Span) -> u64 {
        let rows = input.height.min(self.kernel_height as usize) as u64;
        let columns = input.width.min(self.kernel_width as usize) as u64;
        rows * columns
    }

    pub(crate) const fn rows(&self) -> Steps {
        Steps {
            taps: self.kernel_height as usize,
            stride: self.stride_y as usize,
            dilation: self.dilation_y as usize,
            pad: self.pad_top as usize,
        }
    }

    pub(crate) const fn columns(&self) -> Steps {
        Steps {
            taps: self.kernel_width as usize,
            stride: self.stride_x as usize,
            dilation: self.dilation_x as usize,
            pad: self.pad_left as usize,
        }
    }

    /// Every field but the padding is at least 1, and all coordinates fit 31 bits. A window that
    /// lies in the padding altogether is allowed.
    pub(crate) fn check(&self, output: &Span) -> Result<(), Problem> {
        self.rows().check(output.height)?;
        self.columns().check(output.width)
    }
}

/// A window along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) pad: usize,
}

impl Steps {
    fn check(&self, output: usize) -> Result<(), Problem> {
        if self.taps == 0 || self.stride == 0 || self.dilation == 0 {
            return Err(Problem::Zero);
        }
        let reach = (self.taps - 1) as u64 * self.dilation as u64;
        let last = (output - 1) as u64 * self.stride as u64;
        if last + reach + self.pad as u64 > i32::MAX as u64 {
            return Err(Problem::Window);
        }
        Ok(())
    }

    /// Coordinate of the first tap of output `o`; negative in the padding.
    #[inline]
    pub(crate) const fn origin(&self, o: usize) -> isize {
        (o * self.stride) as isize - self.pad as isize
    }

    /// The taps of a window at `origin` that lie in an input of `length`, as `(first, last + 1)`.
    #[inline]
    pub(crate) fn valid(&self, origin: isize, length: usize) -> (usize, usize) {
        let first = if origin >= 0 { 0 } else { (-origin) as usize };
        let left = length as isize - origin;
        let end = if left <= 0 { 0 } else { left as usize };
        if self.dilation == 1 {
            let first = first.min(self.taps);
            return (first, end.min(self.taps).max(first));
        }
        let first = first.div_ceil(self.dilation).min(self.taps);
        (first, end.div_ceil(self.dilation).min(self.taps).max(first))
    }
}
