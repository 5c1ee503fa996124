//! The order in which things reach the flash: one operation at a time, the journal before the
//! receiver.
//!
//! A record that announces a change (a slot is being received into) is on flash before the change
//! begins, and one that promises something (a committed module, an account) before the answer
//! leaves.

use super::Device;
use crate::event::Event;
use crate::flash::{FlashLayout, FlashRead};
use crate::store::journal::{self, BUFFER, Journal};
use crate::update::firmware::UpdateResult;
use crate::update::receiver;
use crate::update::slot::ModelResult;
use crate::update::state::{Shown, UpdateState};

/// Keys of the journal.
pub(crate) const PROGRESS: u8 = 0;
pub(crate) const UPDATE: u8 = 1;
pub(crate) const ACCOUNTS: u8 = 2;
pub(crate) const ANCHORS: u8 = 3;
/// Sessions with servers that have DTLS; the client writes them, as it has them.
#[cfg(feature = "dtls")]
pub(crate) const SESSIONS: u8 = 4;

/// In which order records of the device are written: what an update says of the anchors comes behind
/// them.
const ORDER: [u8; 4] = [ANCHORS, PROGRESS, UPDATE, ACCOUNTS];

/// Failures in a row after which a record is given up.
const MAX_FAILURES: u8 = 3;

/// Who waits for the operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Journal,
    Receiver(receiver::Step),
    /// The transfer it belonged to is gone.
    Nobody,
}

pub(crate) struct Storage<'a> {
    pub(crate) journal: Journal,
    /// One record of the journal, or one program of it.
    pub(crate) buffer: &'a mut [u8; BUFFER],
    /// Bit n: the record with key n must be written.
    dirty: u8,
    /// Key of the record being written.
    writing: Option<u8>,
    in_flight: Option<InFlight>,
    failures: u8,
    /// Bit n: the record with key n was given up since this was last looked at.
    pub(crate) lost: u8,
    /// What is being written are the accounts of a bootstrap, which takes them back itself.
    pub(crate) staged: bool,
    /// What the record of the update that is being written shows.
    shown: Shown,
    /// What became of the record of the sessions.
    #[cfg(feature = "dtls")]
    pub(crate) sessions: Option<bool>,
}

/// The operation that the shell carries out; the data is the start of the named buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Erase { offset: u32, len: u32 },
    ProgramJournal { offset: u32, len: u32 },
    ProgramPayload { offset: u32, len: u32 },
    Sync,
}

impl<'a> Storage<'a> {
    pub(crate) fn new(layout: &FlashLayout, buffer: &'a mut [u8; BUFFER]) -> Self {
        Self {
            journal: Journal::new(layout.journal, layout.write_unit),
            buffer,
            dirty: 0,
            writing: None,
            in_flight: None,
            failures: 0,
            lost: 0,
            staged: false,
            shown: UpdateState::NEW.shown(),
            #[cfg(feature = "dtls")]
            sessions: None,
        }
    }

    /// The record has changed and must be written.
    pub(crate) fn mark(&mut self, key: u8) {
        self.dirty |= 1 << key;
    }

    fn put(&mut self, key: u8, len: usize, flash: &dyn FlashRead) -> bool {
        self.journal.put(key, len, self.buffer, flash)
    }

    /// Room for the record of the sessions, if it can be written now.
    #[cfg(feature = "dtls")]
    pub(crate) fn room_for_sessions(&mut self) -> Option<&mut [u8]> {
        let free = self.in_flight.is_none() && self.journal.is_idle();
        self.buffer.get_mut(8..).filter(|_| free)
    }

    /// Writes the sessions, so many bytes in that room; what became of it is told there.
    #[cfg(feature = "dtls")]
    pub(crate) fn put_sessions(&mut self, len: usize, flash: &dyn FlashRead) {
        if self.put(SESSIONS, len, flash) {
            self.writing = Some(SESSIONS);
        } else {
            self.sessions = Some(false);
        }
    }

    /// The record being written is done.
    fn take_writing(&mut self, _ok: bool) -> Option<u8> {
        let key = self.writing.take();
        #[cfg(feature = "dtls")]
        if key == Some(SESSIONS) {
            self.sessions = Some(_ok);
            return None;
        }
        key
    }

    /// The record need not be written.
    pub(crate) fn unmark(&mut self, key: u8) {
        self.dirty &= !(1 << key);
    }
}

impl Device<'_> {
    /// Nothing has to be written and nothing is being written.
    pub(crate) fn storage_is_idle(&self) -> bool {
        let s = &self.storage;
        let receiving = self
            .update
            .receiver
            .as_ref()
            .is_some_and(|r| r.has_work(&self.config.layout));
        s.dirty == 0 && s.journal.is_idle() && s.in_flight.is_none() && !receiving
    }

    /// Bit n: what is promised with everything on flash relies on the record with key n.
    pub(crate) fn promises(&self) -> u8 {
        let s = &self.storage;
        let receiving = match self.update.receiver {
            Some(_) => 1 << PROGRESS | 1 << UPDATE,
            None => 0,
        };
        s.dirty | s.writing.map_or(0, |key| 1 << key) | receiving
    }

    /// The transfer is given up; an operation of it that is under way means nothing any more.
    pub(crate) fn drop_receiver(&mut self) {
        self.update.receiver = None;
        if let Some(InFlight::Receiver(_)) = self.storage.in_flight {
            self.storage.in_flight = Some(InFlight::Nobody);
        }
    }

    /// The next operation, if none is under way.
    pub(crate) fn storage_step(&mut self, flash: &dyn FlashRead) -> Option<Op> {
        if self.storage.in_flight.is_some() {
            return None;
        }
        if let Some(step) = self.journal_step(flash) {
            self.storage.in_flight = Some(InFlight::Journal);
            return Some(match step {
                journal::Step::Erase { offset, len } => Op::Erase { offset, len },
                journal::Step::Program { offset, len } => Op::ProgramJournal { offset, len },
                journal::Step::Sync => Op::Sync,
            });
        }
        let slot = self.update.state.target?;
        let region = self.config.layout.slots.get(usize::from(slot))?;
        let receiver = self.update.receiver.as_ref()?;
        let step = receiver.step(region, &self.config.layout, self.update.buffer)?;
        self.storage.in_flight = Some(InFlight::Receiver(step));
        Some(match step {
            receiver::Step::Erase { offset, len } => Op::Erase { offset, len },
            receiver::Step::Program { offset, len } => Op::ProgramPayload { offset, len },
            receiver::Step::Sync => Op::Sync,
        })
    }

    fn journal_step(&mut self, flash: &dyn FlashRead) -> Option<journal::Step> {
        loop {
            let storage = &mut self.storage;
            if let Some(step) = storage.journal.step(flash, storage.buffer) {
                return Some(step);
            }
            let key = ORDER
                .into_iter()
                .find(|key| self.storage.dirty & (1 << key) != 0)?;
            self.storage.unmark(key);
            let place = &mut self.storage.buffer[8..];
            let len = match key {
                PROGRESS => self.update.receiver.as_ref().and_then(|r| r.encode(place)),
                UPDATE => {
                    self.storage.shown = self.update.state.shown();
                    self.update.state.encode(place)
                }
                ANCHORS => self.trust.encode(place),
                _ => self.accounts.encode(place),
            };
            // A transfer that is over has no progress to keep.
            let Some(len) = len else { continue };
            if self.storage.put(key, len, flash) {
                self.storage.writing = Some(key);
            } else {
                self.record_lost(key, flash);
            }
        }
    }

    pub(crate) fn flash_done(&mut self, ok: bool, flash: &dyn FlashRead) {
        let Some(in_flight) = self.storage.in_flight.take() else {
            return;
        };
        if !ok {
            self.log.event(Event::FlashFailed);
        }
        match in_flight {
            InFlight::Journal => {
                if self.storage.journal.done(ok, flash) {
                    self.storage.failures = 0;
                    match self.storage.take_writing(true) {
                        Some(UPDATE) => {
                            self.update.shown = self.storage.shown;
                            self.log.changed();
                        }
                        Some(ANCHORS) => self.anchors_stored(),
                        _ => {}
                    }
                } else if !ok && let Some(key) = self.storage.take_writing(false) {
                    self.storage.failures += 1;
                    if self.storage.failures >= MAX_FAILURES {
                        self.storage.failures = 0;
                        self.record_lost(key, flash);
                    } else {
                        self.storage.mark(key);
                    }
                }
            }
            InFlight::Nobody => {}
            InFlight::Receiver(step) => {
                if !ok {
                    self.refuse_package(UpdateResult::NotEnoughFlash, ModelResult::Storage);
                } else {
                    self.receiver_step_done(step, flash);
                }
            }
        }
    }

    /// The journal does not take a record: what it was about goes back to what is on flash, and
    /// nothing that relies on it (the erase of a slot) begins.
    fn record_lost(&mut self, key: u8, flash: &dyn FlashRead) {
        if key == ANCHORS {
            self.storage.lost |= 1 << ANCHORS;
            self.take_back_anchors(flash);
            return;
        }
        if key != ACCOUNTS {
            self.storage.lost |= 1 << PROGRESS | 1 << UPDATE;
            self.take_back_update(flash);
            return;
        }
        self.storage.lost |= 1 << ACCOUNTS;
        if !self.storage.staged {
            if let Some(stored) = self.storage.journal.get(ACCOUNTS, flash)
                && !self.accounts.decode(stored)
            {
                self.accounts.reset(self.config.factory);
            }
            self.log.changed();
        }
    }

    fn receiver_step_done(&mut self, step: receiver::Step, flash: &dyn FlashRead) {
        let region = self
            .update
            .state
            .target
            .and_then(|s| self.config.layout.slots.get(usize::from(s)));
        let (Some(region), Some(r)) = (region, self.update.receiver.as_mut()) else {
            return;
        };
        let before = r.payload.map_or(0, |p| p.durable);
        r.done(step, region, self.update.buffer);
        if r.payload.is_some_and(|p| p.durable != before) {
            self.storage.mark(PROGRESS);
        }
        if !r.has_work(&self.config.layout) && r.is_complete() {
            self.package_complete(flash);
        }
    }
}
