//! The records of a plan as the device reads them, one file per operator. Kernels, specification and
//! writers have the same names.

pub mod add;
pub mod average_pool;
pub mod call;
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

mod reader;
mod view;
mod window;

pub use crate::format::Problem;
pub use crate::format::record::{CALL, LOOP, MUST_UNDERSTAND, STATE};
pub use concat::Axis;
pub use reader::{Channels, Clamp};
pub(crate) use reader::{Context, Reader};
pub use view::{Span, View};
#[cfg(feature = "build")]
pub(crate) use window::Steps;
pub use window::Window;

/// What an operator is to loader and run: a record as the device reads it.
///
/// Adding an operator with a kernel touches its files here, in `kernels`, in `spec` and in `build`,
/// and the list below.
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

impl Facts {
    pub(crate) fn of<'m, R: Operator<'m>>(record: &R) -> Self {
        Facts {
            output: record.output(),
            scores: record.scores(),
            work: record.work(),
        }
    }
}

/// Reads a payload to its end.
pub(crate) fn decode<'m, R: Operator<'m>>(mut reader: Reader<'m>) -> Result<R, Problem> {
    let record = R::decode(&mut reader)?;
    reader.finish()?;
    Ok(record)
}

/// The operators: number and version, the names of module, kernel and writer, and the record. What
/// is made for each of them is made by the macro `$make`.
macro_rules! operators {
    ($make:ident) => {
        $make! {
            1 2 conv2d CONV2D Conv2d Conv2dRecord<'m>;
            2 2 depthwise_conv DEPTHWISE_CONV DepthwiseConv DepthwiseConvRecord<'m>;
            3 2 fully_connected FULLY_CONNECTED FullyConnected FullyConnectedRecord<'m>;
            4 2 add ADD Add AddRecord<'m>;
            5 2 mul MUL Mul MulRecord<'m>;
            6 2 max_pool MAX_POOL MaxPool MaxPoolRecord;
            7 2 average_pool AVERAGE_POOL AveragePool AveragePoolRecord<'m>;
            8 2 softmax SOFTMAX Softmax SoftmaxRecord<'m>;
            9 2 lookup LOOKUP Lookup LookupRecord<'m>;
            10 2 requantize REQUANTIZE Requantize RequantizeRecord;
            11 2 pad PAD Pad PadRecord;
            12 2 concat CONCAT Concat ConcatRecord<'m>;
            13 2 copy COPY Copy CopyRecord;
        }
    };
}
pub(crate) use operators;

macro_rules! records {
    ($($id:literal $version:literal $module:ident $kernel:ident $name:ident
       $record:ident $(<$life:lifetime>)?;)*) => {
        /// A record of a plan, decoded.
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Record<'m> {
            $($name($module::$record $(<$life>)?),)*
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
    };
}
operators!(records);
