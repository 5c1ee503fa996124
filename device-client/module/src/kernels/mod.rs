//! The portable kernels, one file per operator.
//!
//! Operators that slide a window compute the output rows `rows` from slices that begin at their
//! [`Span`], so that a caller may keep only some rows of a tensor (its `ring`).
//! Elementwise operators work on a memory that holds all operands, as the output may be an
//! operand; what else may share memory is said in [`crate::plan`] and checked by the loader.
//!
//! Sums wrap: the compiler has proven that no sum of a module it builds leaves 32 bits (N5, N8).

mod add;
mod average_pool;
mod concat;
mod conv2d;
mod copy;
mod depthwise_conv;
mod dot;
mod elementwise;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod requantize;
mod softmax;

pub use average_pool::average_pool;
pub use conv2d::conv2d;
pub use depthwise_conv::depthwise_conv;
pub use max_pool::max_pool;

use crate::plan::Span;

/// The kernels of this library as (id, version), for 27301/x/10.
pub const RESIDENT: &[(u16, u16)] = crate::plan::LIBRARY;

/// Bytes of stack that a run needs at most on a 32-bit core, kernels and loader together.
pub const STACK_BYTES: u32 = 2048;

/// Two parts of a memory that do not touch: the loader has checked that.
fn split<'a>(memory: &'a mut [u8], read: &Span, write: &Span) -> (&'a [u8], &'a mut [u8]) {
    if read.start < write.start {
        let (low, high) = memory.split_at_mut(write.start);
        (&low[read.start..], &mut high[..write.extent()])
    } else {
        let (low, high) = memory.split_at_mut(read.start);
        (&high[..read.extent()], &mut low[write.start..])
    }
}
