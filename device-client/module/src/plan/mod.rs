//! The records of a plan: one file per operator, with the record as the device reads it and, under
//! the feature `build`, as the compiler writes it. Kernels and specification have the same names.

pub mod add;
pub mod average_pool;
pub mod concat;
pub mod conv2d;
pub mod copy;
pub mod depthwise_conv;
pub mod fully_connected;
pub mod lookup;
pub mod max_pool;
pub mod mul;
pub mod operand;
pub mod pad;
pub mod requantize;
pub mod softmax;

mod problem;
mod reader;
mod view;
mod window;
#[cfg(feature = "build")]
pub(crate) mod writer;

pub use concat::Axis;
pub use problem::Problem;
pub(crate) use reader::Reader;
pub use reader::{Channels, Clamp};
pub use view::{Span, View};
pub use window::Window;
#[cfg(feature = "build")]
pub use {concat::ConcatInput, operand::Operand};

#[cfg(feature = "build")]
use crate::build::BuildError;

/// Bit of an operator number: a reader that does not know the operator must refuse the plan.
pub const MUST_UNDERSTAND: u16 = 0x8000;
/// Operator number reserved for running code of the section CODE.
pub const CALL: u16 = 0x40;
/// Operator number reserved for repeating records over rows.
pub const LOOP: u16 = 0x41;
/// Operator number reserved for state kept between steps.
pub const STATE: u16 = 0x42;

macro_rules! operators {
    ($($id:literal $version:literal $module:ident $name:ident $record:ty;)*) => {
        /// A record of a plan, decoded.
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Record<'m> {
            $($name($record),)*
        }

        /// Kernel id and version of every operator of this crate.
        pub(crate) const LIBRARY: &[(u16, u16)] = &[$(($id, $version),)*];

        impl<'m> Record<'m> {
            /// Reads a payload; `None` if this crate has no such operator and version.
            pub(crate) fn decode(
                operator: u16,
                version: u16,
                mut reader: Reader<'m>,
            ) -> Result<Option<Self>, Problem> {
                let record = match (operator & !MUST_UNDERSTAND, version) {
                    $(($id, $version) => {
                        Record::$name(<$record>::decode(&mut reader)?)
                    })*
                    _ => return Ok(None),
                };
                reader.finish()?;
                Ok(Some(record))
            }

            /// The checks that need to be made once only.
            /// Steps of the innermost loop, at most.
            pub(crate) fn work(&self) -> u64 {
                match self { $(Record::$name(record) => record.work(),)* }
            }

            pub(crate) fn verify(&self) -> Result<(), Problem> {
                match self { $(Record::$name(record) => record.verify(),)* }
            }

            /// Where the result goes.
            pub fn output(&self) -> Span {
                match self { $(Record::$name(record) => record.output,)* }
            }

            /// Computes the whole result in `memory`, the arena.
            pub(crate) fn execute(&self, memory: &mut [u8]) {
                match self { $(Record::$name(record) => record.execute(memory),)* }
            }

            /// Name of the operator.
            pub fn name(&self) -> &'static str {
                match self { $(Record::$name(_) => stringify!($module),)* }
            }
        }

        #[cfg(feature = "build")]
        pub use { $($module::$name,)* };

        /// One operator of a plan, as the compiler gives it to the builder.
        #[cfg(feature = "build")]
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Op {
            $($name($name),)*
        }

        #[cfg(feature = "build")]
        impl Op {
            /// Operator number, which is the kernel's id, and version.
            pub fn kernel(&self) -> (u16, u16) {
                match self { $(Op::$name(_) => ($id, $version),)* }
            }

            pub(crate) fn encode(&self, w: &mut writer::Writer<'_>) -> Result<(), BuildError> {
                match self { $(Op::$name(op) => op.encode(w),)* }
            }
        }

        $(#[cfg(feature = "build")]
        impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

operators! {
    1 1 conv2d Conv2d conv2d::Conv2dRecord<'m>;
    2 1 depthwise_conv DepthwiseConv depthwise_conv::DepthwiseConvRecord<'m>;
    3 1 fully_connected FullyConnected fully_connected::FullyConnectedRecord<'m>;
    4 1 add Add add::AddRecord<'m>;
    5 1 mul Mul mul::MulRecord<'m>;
    6 1 max_pool MaxPool max_pool::MaxPoolRecord;
    7 1 average_pool AveragePool average_pool::AveragePoolRecord<'m>;
    8 1 softmax Softmax softmax::SoftmaxRecord<'m>;
    9 1 lookup Lookup lookup::LookupRecord<'m>;
    10 1 requantize Requantize requantize::RequantizeRecord;
    11 1 pad Pad pad::PadRecord;
    12 1 concat Concat concat::ConcatRecord<'m>;
    13 1 copy Copy copy::CopyRecord;
}
