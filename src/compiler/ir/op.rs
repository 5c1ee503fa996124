//! The operations of the intermediate representation.

/// A fused activation: the result is limited to `lo..=hi`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clamp {
    /// Smallest value let through.
    pub lo: f32,
    /// Largest value let through.
    pub hi: f32,
}

impl Clamp {
    /// No limit.
    pub(crate) const NONE: Self = Self {
        lo: f32::NEG_INFINITY,
        hi: f32::INFINITY,
    };
    /// Negative values become 0.
    pub(crate) const RELU: Self = Self {
        lo: 0.0,
        hi: f32::INFINITY,
    };

    /// Whether nothing is limited.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// This limit, then `next`.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self {
            lo: next.apply(self.lo),
            hi: next.apply(self.hi),
        }
    }

    /// Limits one value.
    pub(crate) fn apply(&self, value: f32) -> f32 {
        if value < self.lo {
            self.lo
        } else if value > self.hi {
            self.hi
        } else {
            value
        }
    }
}

/// An elementwise function, computed by a table when quantized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Function {
    /// Limits that could not be fused.
    Clamp(Clamp),
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

impl Function {
    /// The function in f64, with the libm crate, so that tables are the same everywhere.
    pub(crate) fn apply(&self, x: f64) -> f64 {
        match self {
            Self::Clamp(clamp) => {
                if x < f64::from(clamp.lo) {
                    f64::from(clamp.lo)
                } else if x > f64::from(clamp.hi) {
                    f64::from(clamp.hi)
                } else {
                    x
                }
            }
            Self::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Self::Tanh => libm::tanh(x),
        }
    }

    /// Name for reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Clamp(_) => "clamp",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }
}

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
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// Inputs x, weights `[out, height, width, in]`, bias `[out]`.
    Conv {
        /// The window.
        window: Window,
        /// Fused activation.
        clamp: Clamp,
    },
    /// Inputs x, weights `[height, width, channel * multiplier]`, bias. Output channel `c` reads
    /// input channel `c / multiplier`.
    DepthwiseConv {
        /// The window.
        window: Window,
        /// Output channels per input channel.
        multiplier: usize,
        /// Fused activation.
        clamp: Clamp,
    },
    /// Inputs x `[batch, in]`, weights `[out, in]`, bias `[out]`.
    FullyConnected {
        /// Fused activation.
        clamp: Clamp,
    },
    /// Inputs x, scale, offset; both run along the last axis.
    Affine,
    /// Sum of two tensors of one shape.
    Add {
        /// Fused activation.
        clamp: Clamp,
    },
    /// Difference of two tensors of one shape.
    Sub {
        /// Fused activation.
        clamp: Clamp,
    },
    /// Product of two tensors of one shape.
    Mul {
        /// Fused activation.
        clamp: Clamp,
    },
    /// An elementwise function.
    Map(Function),
    /// Largest value in the window; padding is ignored.
    MaxPool {
        /// The window.
        window: Window,
    },
    /// Mean over the window.
    AveragePool {
        /// The window.
        window: Window,
        /// Whether padding counts as zeros.
        include_pad: bool,
    },
    /// exp(x) / sum exp(x) along the last axis.
    Softmax,
    /// Joins along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Adds elements of a value around the tensor.
    Pad {
        /// Elements before, per axis.
        before: Vec<usize>,
        /// Elements after, per axis.
        after: Vec<usize>,
        /// Their value.
        value: f32,
    },
    /// Same elements in the same order, other shape (that of the output).
    Reshape,
    /// Output axis i is input axis `perm[i]`.
    Transpose {
        /// The permutation.
        perm: Vec<usize>,
    },
}

impl Op {
    /// Name for reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::DepthwiseConv { .. } => "depthwise_conv",
            Self::FullyConnected { .. } => "fully_connected",
            Self::Affine => "affine",
            Self::Add { .. } => "add",
            Self::Sub { .. } => "sub",
            Self::Mul { .. } => "mul",
            Self::Map(function) => function.name(),
            Self::MaxPool { .. } => "max_pool",
            Self::AveragePool { .. } => "average_pool",
            Self::Softmax => "softmax",
            Self::Concat { .. } => "concat",
            Self::Pad { .. } => "pad",
            Self::Reshape => "reshape",
            Self::Transpose { .. } => "transpose",
        }
    }

    /// The fused activation of an operation that can have one.
    pub(crate) fn clamp(&self) -> Option<&Clamp> {
        match self {
            Self::Conv { clamp, .. }
            | Self::DepthwiseConv { clamp, .. }
            | Self::FullyConnected { clamp }
            | Self::Add { clamp }
            | Self::Sub { clamp }
            | Self::Mul { clamp } => Some(clamp),
            _ => None,
        }
    }

    /// The fused activation of an operation that can have one, to change.
    pub(crate) fn clamp_mut(&mut self) -> Option<&mut Clamp> {
        match self {
            Self::Conv { clamp, .. }
            | Self::DepthwiseConv { clamp, .. }
            | Self::FullyConnected { clamp }
            | Self::Add { clamp }
            | Self::Sub { clamp }
            | Self::Mul { clamp } => Some(clamp),
            _ => None,
        }
    }
}
