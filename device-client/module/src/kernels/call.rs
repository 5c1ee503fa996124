//! Calls: what a plan leaves to code of its own.

use core::ops::Range;

use super::{Ask, Kernel};
use crate::arena::Arena;
use crate::format::record::CALL;
use crate::plan::call::CallRecord;
use crate::plan::{Facts, Operator, Problem, Reader, decode};

/// What runs the code of a section CODE.
pub trait Machine {
    /// Whether it can run the code; asked once, when a module is loaded.
    ///
    /// # Errors
    /// What is wrong with the call.
    fn check(call: &CallRecord<'_>) -> Result<(), Problem>;

    /// Computes rows of the output, each once and in ascending order.
    fn run(call: &CallRecord<'_>, arena: &mut Arena<'_>, rows: Range<usize>);
}

impl Kernel {
    /// The kernel that runs calls on a machine. A program that lists it takes modules with a section
    /// CODE; others refuse them.
    pub const fn calls<M: Machine>() -> Kernel {
        Kernel {
            id: CALL,
            version: 2,
            name: "call",
            scores: false,
            call: call::<M>,
        }
    }
}

fn call<M: Machine>(reader: Reader<'_>, ask: Ask<'_, '_>) -> Result<Facts, Problem> {
    let record: CallRecord<'_> = decode(reader)?;
    match ask {
        Ask::Facts => {}
        Ask::Verify => {
            record.verify()?;
            M::check(&record)?;
        }
        Ask::Run(arena, rows) => {
            let end = rows.end.min(record.output.height);
            M::run(&record, arena, rows.start.min(end)..end);
        }
    }
    Ok(Facts::of(&record))
}
