//! The operators as the compiler gives them to the builder.

use alloc::vec::Vec;

use super::{View, Window};
use crate::numerics::{Multiplier, SumFactors};

/// Zero point and clamp of an output tensor (N2, N6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// Zero point of the output.
    pub zero_point: i8,
    /// Lowest stored value, from the fused activation; -128 without one.
    pub low: i8,
    /// Highest stored value, from the fused activation; 127 without one.
    pub high: i8,
}

/// Convolution (N5); 1-D is height 1, pointwise is a window of 1 x 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    /// Input tensor.
    pub input: View,
    /// Output tensor.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// `[output channel][kernel row][kernel column][input channel]`.
    pub weights: Vec<i8>,
    /// `bq` of N5, not folded, one per output channel.
    pub bias: Vec<i32>,
    /// One per output channel.
    pub multipliers: Vec<Multiplier>,
}

/// Depthwise convolution (N5): output channel `c` reads input channel
/// `c / (output channels / input channels)`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseConv {
    /// Input tensor.
    pub input: View,
    /// Output tensor; its channels are a multiple of the input's.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// `[kernel row][kernel column][output channel]`.
    pub weights: Vec<i8>,
    /// `bq` of N5, not folded, one per output channel.
    pub bias: Vec<i32>,
    /// One per output channel.
    pub multipliers: Vec<Multiplier>,
}

/// Fully connected layer (N5) over all elements of a dense input in stored order.
#[derive(Debug, Clone, PartialEq)]
pub struct FullyConnected {
    /// Input tensor, dense.
    pub input: View,
    /// Output tensor, height and width 1.
    pub output: View,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// `[output channel][input element]`.
    pub weights: Vec<i8>,
    /// `bq` of N5, not folded, one per output channel.
    pub bias: Vec<i32>,
    /// One per output channel.
    pub multipliers: Vec<Multiplier>,
}

/// The second operand of an elementwise operator. Each of its dimensions is the first operand's,
/// or 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A tensor in the arena.
    Arena(View),
    /// A constant of `height`, `width`, `channels`.
    Const {
        /// Elements, channels last.
        values: Vec<i8>,
        /// Height, width, channels.
        shape: [u32; 3],
    },
}

/// Sum or difference (N8).
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// First operand; has the shape of the output.
    pub a: View,
    /// Second operand.
    pub b: Operand,
    /// Output tensor.
    pub output: View,
    /// Zero point of the first operand.
    pub a_zero_point: i8,
    /// Zero point of the second operand.
    pub b_zero_point: i8,
    /// Constants made by [`SumFactors::add`] or [`SumFactors::sub`].
    pub factors: SumFactors,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

/// Product (N8).
#[derive(Debug, Clone, PartialEq)]
pub struct Mul {
    /// First operand; has the shape of the output.
    pub a: View,
    /// Second operand.
    pub b: Operand,
    /// Output tensor.
    pub output: View,
    /// Zero point of the first operand.
    pub a_zero_point: i8,
    /// Zero point of the second operand.
    pub b_zero_point: i8,
    /// Made by [`Multiplier::product`].
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

/// Maximum over a window (N9); also ReduceMax. Input and output have one scale and zero point.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool {
    /// Input tensor.
    pub input: View,
    /// Output tensor.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Lowest stored value.
    pub low: i8,
    /// Highest stored value.
    pub high: i8,
}

/// Mean over a window (N9); also GlobalAveragePool and ReduceMean.
#[derive(Debug, Clone, PartialEq)]
pub struct AveragePool {
    /// Input tensor.
    pub input: View,
    /// Output tensor.
    pub output: View,
    /// Window over the input.
    pub window: Window,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
    /// Divide by the size of the window everywhere, not by its valid elements.
    pub count_include_pad: bool,
    /// Scale of the input.
    pub input_scale: f32,
    /// Scale of the output.
    pub output_scale: f32,
}

/// Softmax over the channels of each element (N11); the output has scale 1/256, zero point -128.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// `T[d] = rint(exp(-s_in * d) * 2^k)` of N11.
    pub table: [u32; 256],
}

/// Elementwise function as a table (N10).
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// Result for each stored value, from -128 to 127.
    pub table: [i8; 256],
}

/// Change of scale and zero point (N7).
#[derive(Debug, Clone, PartialEq)]
pub struct Requantize {
    /// Input tensor.
    pub input: View,
    /// Output tensor; may be the input.
    pub output: View,
    /// Zero point of the input.
    pub input_zero_point: i8,
    /// Made by [`Multiplier::rescale`].
    pub multiplier: Multiplier,
    /// Zero point and clamp of the output.
    pub clamp: Clamp,
}

/// Pad with a constant (N7).
#[derive(Debug, Clone, PartialEq)]
pub struct Pad {
    /// Input tensor.
    pub input: View,
    /// Output tensor; what the input does not cover is padding.
    pub output: View,
    /// Rows above the input.
    pub top: u32,
    /// Columns left of the input.
    pub left: u32,
    /// Channels before the input's.
    pub front: u32,
    /// Stored value of the padding.
    pub value: i8,
}

/// An axis of a channels-last tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// Channels.
    Channels,
}

/// One input of a [`Concat`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConcatInput {
    /// Input tensor.
    pub view: View,
    /// Zero point and multiplier to the output's scale, or `None` to copy (N7).
    pub requantize: Option<(i8, Multiplier)>,
}

/// Concatenation along one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Concat {
    /// Inputs in order; 1 to 255.
    pub inputs: Vec<ConcatInput>,
    /// Output tensor.
    pub output: View,
    /// Axis along which the inputs follow each other.
    pub axis: Axis,
    /// Zero point and clamp of the requantized inputs.
    pub clamp: Clamp,
}

/// Element-by-element copy between two strided boxes: transpositions, slices.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Any dense view of the memory read from; `input_start` and `input_strides` refer to it.
    pub input: View,
    /// Dense view of the memory written to, in the order of `shape`.
    pub output: View,
    /// Elements along each of up to four axes of the output, outermost first, padded with 1.
    pub shape: [u32; 4],
    /// First byte read, relative to the input.
    pub input_start: u32,
    /// Bytes in the input from one element to the next along each axis of `shape`.
    pub input_strides: [u32; 4],
}

/// One operator of a plan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Op {
    Conv2d(Conv2d),
    DepthwiseConv(DepthwiseConv),
    FullyConnected(FullyConnected),
    Add(Add),
    Mul(Mul),
    MaxPool(MaxPool),
    AveragePool(AveragePool),
    Softmax(Softmax),
    Lookup(Lookup),
    Requantize(Requantize),
    Pad(Pad),
    Concat(Concat),
    Copy(Copy),
}
