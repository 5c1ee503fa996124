//! The geometry of operators that slide a window over rows and columns.

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
}
