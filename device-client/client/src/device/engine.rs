//! The engine: the arena, what is in it, what runs in it, and what came of it (shown by 27304).

use lwm2m_objects::{Path, ids};
use tinsmith_module::{Class, Module, Runner, SelfTest};

use super::Device;
use crate::flash::FlashRead;
use crate::handler::Ticket;

/// Classes that are counted.
const CLASSES: usize = 32;

/// What the arena holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arena {
    /// Nothing of use.
    Undefined,
    /// All input tensors.
    Input,
    /// All output tensors of the last inference.
    Output,
}

/// A run of the module in a slot.
pub(super) struct Job {
    pub(super) slot: u8,
    /// Sequence number of the module: another one is not run on.
    pub(super) sequence: u64,
    /// Who waits for the end; nobody for a self test at the begin of a trial.
    pub(super) ticket: Option<Ticket>,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// An inference, and the microseconds that it has run.
    Inference(Runner, u64),
    SelfTest(SelfTest),
}

/// What /27304/0/22 resets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statistics {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    /// Microseconds.
    pub(crate) latency_last: u64,
    pub(crate) latency_max: u64,
    pub(crate) histogram: [u32; CLASSES],
}

impl Statistics {
    const NEW: Self = Self {
        count: 0,
        errors: 0,
        latency_last: 0,
        latency_max: 0,
        histogram: [0; CLASSES],
    };

    pub(crate) fn reset(&mut self) {
        *self = Self::NEW;
    }
}

pub(crate) struct Engine<'a> {
    pub(crate) arena: &'a mut [u8],
    pub(crate) content: Arena,
    pub(super) job: Option<Job>,
    /// Sequence number of the module whose states the arena holds; none if it holds none's.
    pub(crate) states_of: Option<u64>,
    pub(crate) enabled: bool,
    pub(crate) threshold: f64,
    pub(crate) class: Option<Class>,
    /// Wall time of the last inference, 0 if it is not known.
    pub(crate) timestamp: i64,
    pub(crate) statistics: Statistics,
}

impl<'a> Engine<'a> {
    pub(crate) const fn new(arena: &'a mut [u8]) -> Self {
        Self {
            arena,
            content: Arena::Undefined,
            job: None,
            states_of: None,
            enabled: true,
            threshold: 0.0,
            class: None,
            timestamp: 0,
            statistics: Statistics::NEW,
        }
    }

    /// The class is not worth a notification.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.class
            .is_some_and(|c| f64::from(c.score) < self.threshold)
    }

    /// Something runs.
    pub(crate) const fn is_running(&self) -> bool {
        self.job.is_some()
    }

    /// Another module runs now.
    pub(crate) fn forget_result(&mut self) {
        self.content = Arena::Undefined;
        self.class = None;
        self.statistics.histogram = [0; CLASSES];
    }
}

impl Device<'_> {
    /// The module in a slot, checked; none if the slot holds none.
    pub(crate) fn module_in<'f>(&self, slot: u8, flash: &'f dyn FlashRead) -> Option<Module<'f>> {
        let entry = self.update.state.slots.get(usize::from(slot))?;
        if !entry.state.holds_module() {
            return None;
        }
        let region = self.config.layout.slots.get(usize::from(slot))?;
        Module::parse_for(flash.read(region.offset, entry.size), self.config.kernels).ok()
    }

    fn running_module<'f>(&self, flash: &'f dyn FlashRead) -> Option<Module<'f>> {
        self.module_in(self.update.state.running()?, flash)
    }

    /// Bytes of all input tensors; none without a module.
    pub(crate) fn input_bytes(&self, flash: &dyn FlashRead) -> Option<usize> {
        let module = self.running_module(flash)?;
        Some(module.inputs().map(|t| t.bytes as usize).sum())
    }

    /// Input that has arrived, or is arriving, is of no use any more.
    pub(crate) fn forget_input(&mut self) {
        if self.engine.content == Arena::Input {
            self.engine.content = Arena::Undefined;
        }
        self.wishes.forget_upload = Some(Path::resource(ids::INFERENCE, 0, ids::inference::INPUT));
    }

    /// Writes part of the inputs, which lie one behind the other, to the arena.
    pub(crate) fn write_input(
        &mut self,
        offset: usize,
        bytes: &[u8],
        flash: &dyn FlashRead,
    ) -> bool {
        let Some(module) = self.running_module(flash) else {
            return false;
        };
        self.engine.content = Arena::Undefined;
        let mut start = 0;
        let mut done = 0;
        for i in 0..module.inputs().count() {
            let Some(range) = module.input_range(i) else {
                return false;
            };
            let end = start + range.len();
            let from = (offset + done).max(start);
            let to = (offset + bytes.len()).min(end);
            if from < to {
                let place = range.start + from - start..range.start + to - start;
                let part = bytes.get(from - offset..to - offset);
                let (Some(place), Some(part)) = (self.engine.arena.get_mut(place), part) else {
                    return false;
                };
                place.copy_from_slice(part);
                done += part.len();
            }
            start = end;
        }
        done == bytes.len()
    }
}
