//! Executing a plan in an arena, at once or in steps, and the golden self test.

mod self_test;

pub use self_test::SelfTest;

use core::fmt;
use core::task::Poll;

use crate::arena::{Arena, RunError};
use crate::format::golden::{Source, Xorshift32};
use crate::format::{SegmentKind, Tensor};
use crate::loader::Module;
use crate::numerics::dequantize;
use crate::plan::{Facts, Span};

/// Result of a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Lowest index of the highest score, taken before a final Softmax.
    pub index: u32,
    /// The output of that index, dequantized.
    pub score: f32,
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

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelfTestError::Mismatch {
                golden,
                layer: Some(layer),
            } => {
                write!(
                    f,
                    "golden input {golden}: layer {layer} gives another result"
                )
            }
            SelfTestError::Mismatch {
                golden,
                layer: None,
            } => {
                write!(f, "golden input {golden}: the outputs are others")
            }
            SelfTestError::NoGolden => f.write_str("the module has no golden input"),
            SelfTestError::Run(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for SelfTestError {}

impl From<RunError> for SelfTestError {
    fn from(e: RunError) -> Self {
        SelfTestError::Run(e)
    }
}

/// Lowest index of the highest signed byte.
pub fn argmax(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut best = (0, i8::MIN);
    for (i, byte) in (0u32..).zip(bytes) {
        if byte as i8 > best.1 {
            best = (i, byte as i8);
        }
    }
    best.0
}

fn elements<'a>(memory: &'a [u8], span: &'a Span) -> impl Iterator<Item = u8> + 'a {
    (0..span.height)
        .flat_map(move |y| {
            memory
                .get(span.row(y)..)
                .unwrap_or(&[])
                .iter()
                .take(span.row_bytes())
        })
        .copied()
}

/// Shows a record's index and the bytes of its result: in one piece, or row by row if the rows do
/// not follow each other without a gap.
pub type Trace<'t> = dyn FnMut(usize, &[u8]) + 't;

/// An inference that runs in steps, so that its caller can do something else in between.
///
/// It borrows neither the module nor the arena: each step is given the same module, and an arena
/// that nobody has written to since the step before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Runner {
    /// Index of the first record that is not done.
    next: usize,
    /// First row of its result that is not done.
    row: usize,
    /// Class before a final Softmax that has begun.
    before_scores: Option<u32>,
}

impl Runner {
    /// Nothing has run; the inputs are in the arena.
    pub const fn new() -> Self {
        Self {
            next: 0,
            row: 0,
            before_scores: None,
        }
    }

    /// As [`step_in`](Self::step_in), in an arena that is one memory.
    ///
    /// # Errors
    /// [`RunError`]; nothing has run.
    pub fn step(
        &mut self,
        module: &Module<'_>,
        arena: &mut [u8],
        budget: u64,
        trace: Option<&mut Trace<'_>>,
    ) -> Result<Poll<Option<Class>>, RunError> {
        let mut arena = Arena::in_one(module.arena(), arena)?;
        Ok(self.step_in(module, &mut arena, budget, trace))
    }

    /// Runs what comes next, as long as its innermost loops take at most `budget` steps together,
    /// but at least one row of a result. Ready when the plan is done: the class, as [`Module::run`]
    /// gives it.
    pub fn step_in(
        &mut self,
        module: &Module<'_>,
        arena: &mut Arena<'_>,
        budget: u64,
        mut trace: Option<&mut Trace<'_>>,
    ) -> Poll<Option<Class>> {
        let classifier = module.classifier();
        let mut left = budget;
        let mut first = true;
        for step in module.steps() {
            if step.layer() < self.next {
                continue;
            }
            let end = if budget == u64::MAX {
                usize::MAX
            } else {
                let rows = affordable(&step.facts(), self.row, &mut left, first);
                if rows == 0 {
                    return Poll::Pending;
                }
                self.row + rows
            };
            first = false;
            let scores = if classifier.is_some() && step.makes_scores() && self.row == 0 {
                step.facts().scores
            } else {
                None
            };
            let best = scores.map(|input| argmax(elements(arena.segment(input.segment), &input)));
            let output = step.run(arena, self.row..end).output;
            if let Some(tensor) = &classifier
                && self.row == 0
                && touches(&output, tensor)
            {
                self.before_scores = best.filter(|_| covers(&output, tensor));
            }
            if end < output.height {
                self.row = end;
                return Poll::Pending;
            }
            (self.next, self.row) = (step.layer() + 1, 0);
            if let Some(trace) = trace.as_deref_mut() {
                show(trace, step.layer(), arena.segment(output.segment), &output);
            }
        }
        Poll::Ready(classifier.map(|tensor| {
            let scores = arena.tensor(&tensor);
            let before = self.before_scores;
            let index = before.unwrap_or_else(|| argmax(scores.iter().copied()));
            let score = scores.get(index as usize).copied().unwrap_or(0);
            Class {
                index,
                score: dequantize(score as i8, tensor.scale, tensor.zero_point),
            }
        }))
    }
}

/// Fills the memory of states from what is left of the bytes at reset, then with zeros.
fn reset(memory: &mut [u8], rest: &mut &[u8]) {
    for byte in memory {
        let (first, behind) = rest.split_first().unwrap_or((&0, rest));
        (*byte, *rest) = (*first, behind);
    }
}

/// How many rows from `row` on fit the budget that is left, of which they are taken; at least one
/// if nothing has run (`first`).
fn affordable(facts: &Facts, row: usize, left: &mut u64, first: bool) -> usize {
    let height = facts.output.height.max(1) as u64;
    let each = facts.work.div_ceil(height).max(1);
    let most = height.saturating_sub(row as u64);
    let rows = (*left / each).min(most).max(u64::from(first));
    *left = left.saturating_sub(rows.saturating_mul(each));
    rows as usize
}

fn show(trace: &mut Trace<'_>, layer: usize, memory: &[u8], span: &Span) {
    if span.is_dense() {
        trace(layer, memory.get(span.start..span.end()).unwrap_or(&[]));
        return;
    }
    for y in 0..span.height {
        let row = span.row(y);
        let row = memory.get(row..row + span.row_bytes());
        trace(layer, row.unwrap_or(&[]));
    }
}

impl Module<'_> {
    /// Gives the states in the arena, which is one memory, what they hold at reset: before the first
    /// run, and whenever what was before is to be forgotten.
    ///
    /// # Errors
    /// The arena is too small.
    #[inline(never)]
    pub fn reset(&self, arena: &mut [u8]) -> Result<(), RunError> {
        let mut rest = self.states_at_reset();
        for place in self.segments().filter(|s| s.kind == SegmentKind::State) {
            let memory = arena.get_mut(place.base as usize..);
            let memory = memory.and_then(|memory| memory.get_mut(..place.size as usize));
            let needed = self.arena_bytes();
            reset(memory.ok_or(RunError::ArenaTooSmall { needed })?, &mut rest);
        }
        Ok(())
    }

    /// As [`reset`](Self::reset), of segments wherever they lie.
    pub fn reset_in(&self, arena: &mut Arena<'_>) {
        let mut rest = self.states_at_reset();
        for (segment, place) in (0..).zip(self.segments()) {
            if place.kind == SegmentKind::State {
                reset(arena.segment_mut(segment), &mut rest);
            }
        }
    }

    /// Runs the plan on the inputs in the arena, which is one memory. Returns the class if the model
    /// is a classifier. Afterwards only the outputs and state segments are defined.
    pub fn run(&self, arena: &mut [u8]) -> Result<Option<Class>, RunError> {
        self.run_whole(arena, None)
    }

    /// Runs the plan, showing each record's result.
    pub fn run_traced(
        &self,
        arena: &mut [u8],
        trace: &mut Trace<'_>,
    ) -> Result<Option<Class>, RunError> {
        self.run_whole(arena, Some(trace))
    }

    /// Runs the plan in segments wherever they lie.
    pub fn run_in(&self, arena: &mut Arena<'_>, trace: Option<&mut Trace<'_>>) -> Option<Class> {
        match Runner::new().step_in(self, arena, u64::MAX, trace) {
            Poll::Ready(class) => class,
            // Without a limit there is one step.
            Poll::Pending => None,
        }
    }

    fn run_whole(
        &self,
        arena: &mut [u8],
        trace: Option<&mut Trace<'_>>,
    ) -> Result<Option<Class>, RunError> {
        Ok(self.run_in(&mut Arena::in_one(self.arena(), arena)?, trace))
    }

    /// Runs every golden input and compares.
    pub fn self_test(&self, arena: &mut [u8]) -> Result<(), SelfTestError> {
        let mut test = SelfTest::new();
        loop {
            if let Poll::Ready(result) = test.step(self, arena, u64::MAX) {
                return result;
            }
        }
    }
}

/// Whether a result is exactly a tensor.
fn covers(span: &Span, tensor: &Tensor) -> bool {
    span.is_dense()
        && span.segment == tensor.segment
        && span.start == tensor.offset as usize
        && span.bytes() == tensor.bytes as usize
}

/// Whether writing a result changes a tensor.
fn touches(span: &Span, tensor: &Tensor) -> bool {
    let start = tensor.offset as usize;
    span.segment == tensor.segment
        && span.start < start + tensor.bytes as usize
        && start < span.end()
}

/// The bytes of a golden input, one tensor after the other.
pub(crate) enum Feed<'m> {
    Raw(&'m [u8]),
    Seed(Xorshift32),
}

impl<'m> Feed<'m> {
    pub(crate) fn new(source: Source<'m>) -> Feed<'m> {
        match source {
            Source::Raw(bytes) => Feed::Raw(bytes),
            Source::Seed(seed) => Feed::Seed(Xorshift32::new(seed)),
        }
    }

    pub(crate) fn fill(&mut self, target: &mut [u8]) {
        match self {
            Feed::Raw(bytes) => {
                let (head, rest) = bytes.split_at(target.len().min(bytes.len()));
                for (to, from) in target.iter_mut().zip(head) {
                    *to = *from;
                }
                *bytes = rest;
            }
            Feed::Seed(generator) => target.fill_with(|| generator.byte()),
        }
    }
}
