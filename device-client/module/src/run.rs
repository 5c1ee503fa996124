//! Executing a plan in an arena, and the golden self test.

use core::fmt;
use core::ops::Range;

use sha2::{Digest, Sha256};

use crate::format::golden::{Crc32, Golden, Source, Xorshift32};
use crate::loader::Module;
use crate::numerics::dequantize;
use crate::plan::{Record, Span};

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

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::ArenaTooSmall { needed } => write!(f, "the model needs {needed} B of arena"),
        }
    }
}

impl core::error::Error for RunError {}

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

impl Module<'_> {
    /// Runs the plan on the inputs in the arena. Returns the class if the model is a classifier.
    /// Afterwards only the outputs and state segments are defined.
    pub fn run(&self, arena: &mut [u8]) -> Result<Option<Class>, RunError> {
        self.run_with(arena, |_, _, _| {})
    }

    /// Runs the plan, showing each record's index and the bytes of its result: in one piece, or
    /// row by row if the rows do not follow each other without a gap.
    pub fn run_traced(
        &self,
        arena: &mut [u8],
        trace: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<Option<Class>, RunError> {
        self.run_with(arena, |layer, memory, span| {
            if span.is_dense() {
                trace(layer, memory.get(span.start..span.end()).unwrap_or(&[]));
            } else {
                for y in 0..span.height {
                    let row = span.row(y);
                    trace(
                        layer,
                        memory.get(row..row + span.row_bytes()).unwrap_or(&[]),
                    );
                }
            }
        })
    }

    fn run_with(
        &self,
        arena: &mut [u8],
        mut after: impl FnMut(usize, &[u8], &Span),
    ) -> Result<Option<Class>, RunError> {
        let needed = self.arena_bytes();
        let memory = arena
            .get_mut(..needed)
            .ok_or(RunError::ArenaTooSmall { needed })?;
        let classifier = self
            .classifier()
            .map(|tensor| (tensor, self.range(&tensor)));
        let mut before_softmax = None;
        for (layer, record) in self.records() {
            if let Some((_, range)) = &classifier {
                before_softmax = match &record {
                    Record::Softmax(softmax) if covers(&softmax.output, range) => {
                        Some(argmax(elements(memory, &softmax.input)))
                    }
                    other if touches(&other.output(), range) => None,
                    _ => before_softmax,
                };
            }
            record.execute(memory);
            after(layer, memory, &record.output());
        }
        Ok(classifier.map(|(tensor, range)| {
            let scores = memory.get(range).unwrap_or(&[]);
            let index = before_softmax.unwrap_or_else(|| argmax(scores.iter().copied()));
            let score = scores.get(index as usize).copied().unwrap_or(0);
            Class {
                index,
                score: dequantize(score as i8, tensor.scale, tensor.zero_point),
            }
        }))
    }

    /// Runs every golden input and compares.
    pub fn self_test(&self, arena: &mut [u8]) -> Result<(), SelfTestError> {
        if self.golden_count() == 0 {
            return Err(SelfTestError::NoGolden);
        }
        for (index, golden) in self.goldens().enumerate() {
            self.test_golden(arena, index, &golden)?;
        }
        Ok(())
    }

    fn test_golden(
        &self,
        arena: &mut [u8],
        index: usize,
        golden: &Golden<'_>,
    ) -> Result<(), SelfTestError> {
        let mut feed = Feed::new(golden.source);
        let mut digest = Sha256::new();
        let mut layer = None;
        for step in 1..=golden.steps {
            for tensor in self.inputs() {
                feed.fill(arena.get_mut(self.range(&tensor)).unwrap_or_default());
            }
            let mut crc = (0, Crc32::new());
            let mut check = |(done, crc): (usize, Crc32)| {
                if layer.is_none() && golden.crc(done).is_some_and(|good| good != crc.finish()) {
                    layer = Some(done);
                }
            };
            self.run_traced(arena, &mut |layer, bytes| {
                if step == golden.steps {
                    if crc.0 != layer {
                        check(crc);
                        crc = (layer, Crc32::new());
                    }
                    crc.1.update(bytes);
                }
            })?;
            if step == golden.steps && self.layer_count() > 0 {
                check(crc);
            }
            for tensor in self.outputs() {
                digest.update(arena.get(self.range(&tensor)).unwrap_or_default());
            }
        }
        if layer.is_some() || !digest.finalize().starts_with(&golden.digest) {
            return Err(SelfTestError::Mismatch {
                golden: index,
                layer,
            });
        }
        Ok(())
    }
}

/// Whether a result is exactly a tensor.
fn covers(span: &Span, tensor: &Range<usize>) -> bool {
    span.is_dense() && span.start == tensor.start && span.end() == tensor.end
}

/// Whether writing a result changes a tensor.
fn touches(span: &Span, tensor: &Range<usize>) -> bool {
    span.start < tensor.end && tensor.start < span.end()
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
