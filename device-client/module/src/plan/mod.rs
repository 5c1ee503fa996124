//! The records of a plan: one file per operator, with the record as the device reads it and, under
//! the feature `build`, as the compiler writes it. Kernels and specification have the same names.

pub mod add;
pub mod average_pool;
pub mod concat;
pub mod conv2d;
pub mod copy;
pub mod depthwise_conv;
pub mod fully_connected;
pub mod layer;
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
pub use {concat::ConcatInput, layer::Layer, operand::Operand};

use core::ops::Range;

use crate::arena::Arena;
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

/// What an operator is to loader and run: a record as the device reads it.
///
/// Adding an operator with a kernel touches its files here, in `kernels` and in `spec`, and the
/// list at the end of this file.
pub(crate) trait Operator<'m>: Sized {
    /// Reads a payload.
    fn decode(r: &mut Reader<'m>) -> Result<Self, Problem>;

    /// The checks that need to be made once only.
    fn verify(&self) -> Result<(), Problem>;

    /// Steps of the innermost loop for the whole result, at most.
    fn work(&self) -> u64;

    /// Where the result goes.
    fn output(&self) -> Span;

    /// The operator makes scores of an input whose order they keep.
    const SCORES: bool = false;

    /// That input.
    fn scores(&self) -> Option<Span> {
        None
    }
}

/// What loader and run want to know of a record.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Where the result goes.
    pub output: Span,
    /// The input whose order the output keeps, if the operator makes scores of it.
    pub scores: Option<Span>,
    /// Steps of the innermost loop for the whole result, at most.
    pub work: u64,
}

/// What is wanted of a record.
pub(crate) enum Ask<'r, 'a> {
    /// Its facts.
    Facts,
    /// The checks that need to be made once only, too.
    Verify,
    /// Some rows of its result, too.
    Run(&'r mut Arena<'a>, Range<usize>),
}

fn decode<'m, R: Operator<'m>>(mut reader: Reader<'m>) -> Result<R, Problem> {
    let record = R::decode(&mut reader)?;
    reader.finish()?;
    Ok(record)
}

fn facts<'m, R: Operator<'m>>(record: &R) -> Facts {
    Facts {
        output: record.output(),
        scores: record.scores(),
        work: record.work(),
    }
}

macro_rules! operators {
    ($($id:literal $version:literal $module:ident $kernel:ident $name:ident $record:ty;)*) => {
        /// A record of a plan, decoded.
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Record<'m> {
            $($name($record),)*
        }

        impl<'m> Record<'m> {
            /// Reads a payload; `None` if this crate has no such operator and version.
            pub(crate) fn decode(
                operator: u16,
                version: u16,
                reader: Reader<'m>,
            ) -> Result<Option<Self>, Problem> {
                Ok(Some(match (operator & !MUST_UNDERSTAND, version) {
                    $(($id, 1..=$version) => Record::$name(decode(reader)?),)*
                    _ => return Ok(None),
                }))
            }

            /// Where the result goes.
            pub fn output(&self) -> Span {
                match self { $(Record::$name(record) => record.output(),)* }
            }

            /// Name of the operator.
            pub fn name(&self) -> &'static str {
                match self { $(Record::$name(_) => stringify!($module),)* }
            }
        }

        /// The kernels one by one, for the list of a product.
        pub mod table {
            use super::*;
            use crate::kernels::Kernel;

            $(
                #[doc = concat!("Kernel ", $id, ", `", stringify!($module), "`.")]
                pub static $kernel: Kernel = {
                    fn call<'m>(reader: Reader<'m>, ask: Ask<'_, '_>) -> Result<Facts, Problem> {
                        let record = decode::<$record>(reader)?;
                        match ask {
                            Ask::Facts => {}
                            Ask::Verify => record.verify()?,
                            Ask::Run(arena, rows) => {
                                let end = rows.end.min(record.output().height);
                                record.run(arena, rows.start.min(end)..end);
                            }
                        }
                        Ok(facts(&record))
                    }
                    // The record's type names the lifetime.
                    #[allow(clippy::extra_unused_lifetimes)]
                    const fn scores<'m>() -> bool {
                        <$record>::SCORES
                    }
                    Kernel {
                        id: $id,
                        version: $version,
                        name: stringify!($module),
                        scores: scores(),
                        call,
                    }
                };
            )*

            pub(crate) static ALL: &[&Kernel] = &[$(&$kernel,)*];
            pub(crate) const LIBRARY: &[(u16, u16)] = &[$(($id, $version),)*];
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
            /// Operator number, which is the kernel's id.
            pub fn id(&self) -> u16 {
                match self { $(Op::$name(_) => $id,)* }
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
    1 2 conv2d CONV2D Conv2d conv2d::Conv2dRecord<'m>;
    2 2 depthwise_conv DEPTHWISE_CONV DepthwiseConv depthwise_conv::DepthwiseConvRecord<'m>;
    3 2 fully_connected FULLY_CONNECTED FullyConnected fully_connected::FullyConnectedRecord<'m>;
    4 2 add ADD Add add::AddRecord<'m>;
    5 2 mul MUL Mul mul::MulRecord<'m>;
    6 2 max_pool MAX_POOL MaxPool max_pool::MaxPoolRecord;
    7 2 average_pool AVERAGE_POOL AveragePool average_pool::AveragePoolRecord<'m>;
    8 2 softmax SOFTMAX Softmax softmax::SoftmaxRecord<'m>;
    9 2 lookup LOOKUP Lookup lookup::LookupRecord<'m>;
    10 2 requantize REQUANTIZE Requantize requantize::RequantizeRecord;
    11 2 pad PAD Pad pad::PadRecord;
    12 2 concat CONCAT Concat concat::ConcatRecord<'m>;
    13 2 copy COPY Copy copy::CopyRecord;
}
