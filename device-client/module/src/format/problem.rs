//! What can be wrong with a record.

use core::fmt;

/// What is wrong with a record of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The record ends before its last field.
    Truncated,
    /// Bytes are left after the last field.
    TrailingBytes,
    /// A reserved field is not zero.
    Reserved,
    /// A dimension, stride or dilation is zero.
    Zero,
    /// The arena has no such segment.
    NoSegment,
    /// A view leaves its segment.
    OutsideSegment,
    /// Rows of a view overlap each other.
    RowStride,
    /// A view holds fewer rows than the operator reads or writes at once.
    Ring,
    /// A constant leaves the section CONST.
    OutsideConst,
    /// A constant has a layout that the kernel cannot read.
    Layout,
    /// Weights have 4 bits, for which there is no kernel.
    FourBits,
    /// A call leaves the section CODE.
    OutsideCode,
    /// Shapes do not agree.
    Shape,
    /// A window leaves the range of coordinates, or starts outside of the input.
    Window,
    /// Operands share memory where the operator does not allow it.
    Overlap,
    /// A multiplier is outside of N2, or a shift outside of N8.
    Multiplier,
    /// The lowest stored value is above the highest.
    Clamp,
    /// A table is inconsistent.
    Table,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Truncated => "ends before its last field",
            Problem::TrailingBytes => "has bytes after its last field",
            Problem::Reserved => "has a reserved field that is not zero",
            Problem::Zero => "has a dimension, stride or dilation of zero",
            Problem::NoSegment => "names an arena segment that does not exist",
            Problem::OutsideSegment => "has a view that leaves its segment",
            Problem::RowStride => "has a view whose rows overlap",
            Problem::Ring => "has a view that holds too few rows",
            Problem::OutsideConst => "has a constant that leaves the section CONST",
            Problem::Layout => "has a constant of an unknown layout",
            Problem::FourBits => "has weights of 4 bits, for which there is no kernel",
            Problem::OutsideCode => "has a call that leaves the section CODE",
            Problem::Shape => "has shapes that do not agree",
            Problem::Window => "has a window that leaves the input",
            Problem::Overlap => "has operands that share memory",
            Problem::Multiplier => "has a multiplier or shift out of range",
            Problem::Clamp => "has an empty range of output values",
            Problem::Table => "has an inconsistent table",
        })
    }
}
