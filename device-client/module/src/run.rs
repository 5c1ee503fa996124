//! Executing a plan.

use crate::loader::Module;

/// Result of a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Lowest index of the highest score, taken before a final Softmax.
    pub index: u32,
    /// The output of that index, dequantized.
    pub score: f32,
}

/// Why a run could not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The arena has fewer bytes than [`Module::arena_bytes`].
    ArenaTooSmall {
        /// Bytes needed.
        needed: usize,
    },
}

/// Which golden input gave another result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelfTestError {
    /// The results differ.
    Mismatch {
        /// Index of the golden input.
        golden: usize,
        /// First record whose result differs; `None` when only the outputs' digest does.
        layer: Option<usize>,
    },
    /// The module has no golden input.
    NoGolden,
    /// The plan could not be run.
    Run(RunError),
}

impl Module<'_> {
    /// Runs the plan on the inputs in the arena. Returns the class if an output has the task
    /// [`crate::format::Task::Classify`].
    pub fn run(&self, arena: &mut [u8]) -> Result<Option<Class>, RunError> {
        self.run_traced(arena, &mut |_, _| {})
    }

    /// Runs the plan, showing the bytes of each record's result: in one piece, or row by row if
    /// they are not dense.
    pub fn run_traced(
        &self,
        _arena: &mut [u8],
        _trace: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<Option<Class>, RunError> {
        Ok(None)
    }

    /// Runs every golden input and compares.
    pub fn self_test(&self, _arena: &mut [u8]) -> Result<(), SelfTestError> {
        Ok(())
    }
}
