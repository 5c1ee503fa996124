//! The portable kernels, one file per operator.
//!
//! Each computes output rows `rows` of its record from views into the [`Arena`], so that a caller
//! may stop between rows, keep only some rows of a tensor (the view's `ring`), and put a segment
//! into another memory. Elementwise operators may write to an operand; what else may share memory
//! is said in [`crate::plan`] and checked by the loader.
//!
//! Sums wrap: the compiler has proven that no sum of a module it builds leaves 32 bits (N5, N8).

mod add;
mod average_pool;
mod call;
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
pub use call::Machine;
pub use conv2d::conv2d;
pub use depthwise_conv::depthwise_conv;
pub use max_pool::max_pool;

use core::fmt;
use core::ops::Range;

use crate::arena::Arena;
use crate::plan::{Facts, Operator, Problem, Reader, decode, operators};

/// What is wanted of a record.
pub(crate) enum Ask<'r, 'a> {
    /// Its facts.
    Facts,
    /// The checks that need to be made once only, too.
    Verify,
    /// Some rows of its result, too.
    Run(&'r mut Arena<'a>, Range<usize>),
}

/// What loader and run need of one operator.
///
/// A program links the kernels it lists: [`Module::parse_for`](crate::Module::parse_for) takes the
/// list.
pub struct Kernel {
    pub(crate) id: u16,
    pub(crate) version: u16,
    pub(crate) name: &'static str,
    pub(crate) scores: bool,
    pub(crate) call: fn(Reader<'_>, Ask<'_, '_>) -> Result<Facts, Problem>,
}

impl Kernel {
    /// Operator number in plans, and the kernel's id in 27301/x/10.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Version; records of this version and all before can be run.
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// Name of the operator.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

macro_rules! kernels {
    ($($id:literal $version:literal $module:ident $kernel:ident $name:ident
       $record:ident $(<$life:lifetime>)?;)*) => {
        /// The kernels one by one, for the list of a product.
        pub mod table {
            use super::*;

            $(
                #[doc = concat!("Kernel ", $id, ", `", stringify!($module), "`.")]
                pub static $kernel: Kernel = {
                    type Record<'m> = crate::plan::$module::$record $(<$life>)?;

                    fn call(reader: Reader<'_>, ask: Ask<'_, '_>) -> Result<Facts, Problem> {
                        let record = decode::<Record<'_>>(reader)?;
                        match ask {
                            Ask::Facts => {}
                            Ask::Verify => record.verify()?,
                            Ask::Run(arena, rows) => {
                                let end = rows.end.min(record.output().height);
                                record.run(arena, rows.start.min(end)..end);
                            }
                        }
                        Ok(Facts::of(&record))
                    }

                    Kernel {
                        id: $id,
                        version: $version,
                        name: stringify!($module),
                        scores: <Record<'_>>::SCORES,
                        call,
                    }
                };
            )*

            pub(crate) static ALL: &[&Kernel] = &[$(&$kernel,)*];
            pub(crate) const LIBRARY: &[(u16, u16)] = &[$(($id, $version),)*];
        }
    };
}
operators!(kernels);

/// All kernels of this library, by id.
pub static ALL: &[&Kernel] = table::ALL;

/// The same as (id, version), for 27301/x/10.
pub const RESIDENT: &[(u16, u16)] = table::LIBRARY;

/// Whether one of the resident kernels, as (id, version), runs records of an id and a version: a
/// kernel runs those of its own version and of all before.
pub fn runs(resident: &[(u16, u16)], (id, version): (u16, u16)) -> bool {
    resident
        .iter()
        .any(|&(known, up_to)| known == id && version <= up_to)
}

/// Bytes of stack that a run needs at most on a 32-bit core, kernels and loader together.
pub const STACK_BYTES: u32 = 2048;
