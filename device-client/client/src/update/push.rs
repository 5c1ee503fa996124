//! The package as it arrives at /5/0/0: which block is taken, when it is refused, what is checked
//! at its end, and how it goes on after a reset.

use sha2::{Digest as _, Sha256};
use tinsmith_coap::{Block, Code, Message};
use tinsmith_module::Module;
use tinsmith_package::{Head, PackageError, Parsed, Refusal};

use crate::client::{Client, Pending};
use crate::flash::FlashRead;
use crate::manage::Answer;
use crate::objects::Done;
use crate::platform::{Event, Now};
use crate::storage::{PROGRESS, UPDATE};
use crate::text::{Bytes, Text};
use crate::update::firmware::{FirmwareState, Trigger, UpdateResult};
use crate::update::receiver::{self, Receiver, Tag};
use crate::update::slot::{ModelResult, Slot, SlotState};
use crate::update::state::UpdateState;

impl Client<'_> {
    /// A block of a Write of /5/0/0 in opaque format.
    pub(crate) fn push(
        &mut self,
        now: Now,
        peer: usize,
        message: &Message<'_>,
        flash: &dyn FlashRead,
    ) -> Answer {
        let Ok(block1) = message.block1() else {
            return Answer::Code(Code::BAD_REQUEST);
        };
        let payload = message.payload();
        let last = block1.is_none_or(|b| !b.more);
        let offset = block1.map_or(0, Block::offset);
        if block1.is_some_and(|b| payload.len() > b.szx.size())
            || (!last && block1.is_some_and(|b| payload.len() != b.szx.size()))
        {
            return Answer::Code(Code::BAD_REQUEST);
        }
        if offset == 0 && last && matches!(payload, [] | [0]) {
            if self.pending.is_some() {
                return Answer::Code(Code::SERVICE_UNAVAILABLE);
            }
            return match self.abandon(Trigger::Reset) {
                Ok(_) => Answer::Stored {
                    code: Code::CHANGED,
                    block1,
                },
                Err(code) => Answer::Code(code),
            };
        }
        let tag: Tag = message.request_tag().and_then(Bytes::new);
        let state = self.update.firmware.state;
        match state {
            FirmwareState::Updating => return Answer::Code(Code::METHOD_NOT_ALLOWED),
            FirmwareState::Idle if offset > 0 => {
                return Answer::Code(Code::REQUEST_ENTITY_INCOMPLETE);
            }
            FirmwareState::Idle => {
                self.drop_receiver();
                self.receiver = Some(Receiver::new(tag));
            }
            FirmwareState::Downloading | FirmwareState::Downloaded => {
                let same = self.receiver.as_ref().is_some_and(|r| {
                    r.tag == tag && (tag.is_some() || state == FirmwareState::Downloading)
                });
                if !same {
                    return Answer::Code(Code::METHOD_NOT_ALLOWED);
                }
            }
        }
        let Some(receiver) = self.receiver.as_mut() else {
            return Answer::Code(Code::INTERNAL_SERVER_ERROR);
        };
        let held = offset + payload.len() as u32 <= receiver.received;
        let repeated = |p: Pending| held && p.package && p.peer == peer;
        if self.pending.is_some_and(|p| !repeated(p)) {
            return Answer::Code(Code::SERVICE_UNAVAILABLE);
        }
        let code = if last { Code::CHANGED } else { Code::CONTINUE };
        match receiver.take(offset, payload, last, self.buffers.receive) {
            receiver::Block::Duplicate => return Answer::Stored { code, block1 },
            receiver::Block::Gap => return Answer::Code(Code::REQUEST_ENTITY_INCOMPLETE),
            receiver::Block::WrongLength if state == FirmwareState::Downloaded => {
                return Answer::Code(Code::METHOD_NOT_ALLOWED);
            }
            receiver::Block::WrongLength => return self.refuse_with(PackageError::Malformed),
            receiver::Block::Taken => {}
        }
        if state == FirmwareState::Idle {
            // The table has this row for Idle.
            let _ = self.update.trigger(Trigger::PackageStarted);
            self.update_changed();
        }
        if self.receiver.as_ref().is_some_and(|r| r.payload.is_none())
            && let Err(error) = self.take_head(now, last)
        {
            return self.refuse_with(error);
        }
        // A payload of nothing needs no flash operation that would end it.
        if let Some(r) = &self.receiver
            && r.is_complete()
            && !r.has_work(&self.config.layout)
        {
            self.package_complete(now, flash);
        }
        Answer::Stored { code, block1 }
    }

    fn take_head(&mut self, _now: Now, last: bool) -> Result<(), PackageError> {
        let Some(receiver) = self.receiver.as_mut() else {
            return Ok(());
        };
        let arrived = self.buffers.receive.get(..receiver.buffered).unwrap_or(&[]);
        let (head, payload_offset, payload_len) = match Head::parse(arrived)? {
            Parsed::NeedMore if last => return Err(PackageError::Malformed),
            Parsed::NeedMore => return Ok(()),
            Parsed::Complete {
                head,
                payload_offset,
                payload_len,
            } => (head, payload_offset, payload_len),
        };
        let free = self.update.free_slot();
        let slot = match (head.slot, free) {
            (None, Some(slot)) => slot,
            (Some(wanted), Some(_)) if self.update.may_receive(wanted) => wanted,
            _ => return Err(Refusal::Component.into()),
        };
        let size = self.config.layout.slots[usize::from(slot)].size;
        head.check(&self.facts.package_receiver(size, self.update.floor))?;
        let module = Slot {
            state: SlotState::Receiving,
            result: ModelResult::None,
            size: head.size,
            sequence: head.sequence,
            arena: head.arena_bytes,
            trial_s: head.trial_s,
            digest: head.digest,
            source: head.source_digest,
            built_for: self.facts.digest,
            name: Text::new(head.model_name).unwrap_or(Text::EMPTY),
            version: Text::new(head.model_version).unwrap_or(Text::EMPTY),
            compiler: Text::new(head.compiler).unwrap_or(Text::EMPTY),
        };
        let all = receiver.begin_payload(payload_offset, payload_len, last, self.buffers.receive);
        if !all {
            return Err(PackageError::Malformed);
        }
        self.update
            .receive(slot, module)
            .map_err(|_| Refusal::Component)?;
        self.storage.mark(PROGRESS);
        self.update_changed();
        Ok(())
    }

    /// Refuses the package at its head or in the middle: an error code stops the sender.
    fn refuse_with(&mut self, error: PackageError) -> Answer {
        let (result, why) = (error.update_result(), error.model_result());
        self.refuse_package(result, why);
        let code = match error {
            PackageError::Refused(Refusal::Storage { .. } | Refusal::Arena { .. }) => {
                Code::REQUEST_ENTITY_TOO_LARGE
            }
            PackageError::Refused(_) | PackageError::Unsupported(_) => Code::NOT_ACCEPTABLE,
            _ => Code::BAD_REQUEST,
        };
        // The sender believes only the Update Result, which it reads next.
        Answer::Stored { code, block1: None }
    }

    pub(crate) fn refuse_package(&mut self, result: UpdateResult, why: ModelResult) {
        self.drop_receiver();
        let shown = self.update.target.or_else(|| self.update.free_slot());
        self.update.refuse(shown, result, why);
        self.update_changed();
    }

    /// Reset or Cancel.
    pub(crate) fn abandon(&mut self, trigger: Trigger) -> Result<Done, Code> {
        self.update
            .abandon(trigger)
            .map_err(|_| Code::METHOD_NOT_ALLOWED)?;
        self.drop_receiver();
        self.update_changed();
        Ok(Done::Stored)
    }

    /// Every byte is in the slot: the last checks before Downloaded.
    pub(crate) fn package_complete(&mut self, _now: Now, flash: &dyn FlashRead) {
        if self.update.firmware.state != FirmwareState::Downloading {
            return;
        }
        let Some(slot) = self.update.target else {
            return;
        };
        match self.check_module(slot, flash) {
            Ok(arena) => {
                self.update.slots[usize::from(slot)].arena = arena;
                // Downloading and RECEIVING both have this row.
                let _ = self.update.verified();
                self.update_changed();
            }
            Err((result, why)) => self.refuse_package(result, why),
        }
    }

    /// Digest, format and demands of the module in a slot. Gives the arena it needs.
    fn check_module(
        &self,
        slot: u8,
        flash: &dyn FlashRead,
    ) -> Result<u32, (UpdateResult, ModelResult)> {
        use tinsmith_module::Refusal as Demand;
        let entry = &self.update.slots[usize::from(slot)];
        let region = &self.config.layout.slots[usize::from(slot)];
        let image = flash.read(region.offset, entry.size);
        if image.len() != entry.size as usize || Sha256::digest(image)[..] != entry.digest {
            return Err((UpdateResult::IntegrityFailed, ModelResult::Digest));
        }
        let unsupported = (UpdateResult::UnsupportedPackage, ModelResult::Unsupported);
        let module = Module::parse(image).map_err(|_| unsupported)?;
        if module.self_test_work() > self.facts.work() {
            return Err(unsupported);
        }
        let host = self.facts.host(&self.config, self.arena.len());
        module.check_host(&host).map_err(|refusal| match refusal {
            Demand::Abi { .. } => (UpdateResult::UnsupportedPackage, ModelResult::Abi),
            Demand::Arena { .. } | Demand::Stack { .. } => {
                (UpdateResult::OutOfRam, ModelResult::Arena)
            }
            _ => unsupported,
        })?;
        u32::try_from(module.arena_bytes()).map_err(|_| unsupported)
    }

    /// After a reset: ends a trial, goes on with a transfer, checks the committed module.
    pub(crate) fn resume_update(
        &mut self,
        now: Now,
        receiver: Option<Receiver>,
        flash: &dyn FlashRead,
    ) {
        let before = self.update;
        self.update.after_reset();
        match self.update.firmware.state {
            FirmwareState::Downloading => match receiver {
                Some(receiver) => {
                    self.receiver = Some(receiver);
                    if receiver.is_complete() {
                        self.package_complete(now, flash);
                    }
                }
                None => {
                    self.refuse_package(UpdateResult::ConnectionLost, ModelResult::None);
                }
            },
            FirmwareState::Downloaded => {
                self.receiver = receiver.map(Receiver::completed);
            }
            FirmwareState::Idle | FirmwareState::Updating => {}
        }
        // The committed module, and if it is broken the one before.
        for _ in 0..2 {
            let Some(active) = self.update.active() else {
                break;
            };
            let Err((_, why)) = self.check_module(active, flash) else {
                break;
            };
            let _ = self.update.fail(active, why);
        }
        if self.update != before {
            self.update_changed();
        }
    }

    /// The journal did not take the last change: the update is again what a reset would find.
    pub(crate) fn take_back_update(&mut self, now: Now, flash: &dyn FlashRead) {
        let lost = self.update.firmware.state;
        self.drop_receiver();
        self.trial_ended();
        let journal = &self.storage.journal;
        let update = journal.get(UPDATE, flash).and_then(UpdateState::decode);
        let receiver = journal.get(PROGRESS, flash).and_then(Receiver::decode);
        self.update = update.unwrap_or(UpdateState::NEW);
        let idle = self.update.firmware.state == FirmwareState::Idle;
        self.resume_update(now, receiver, flash);
        if idle && lost != FirmwareState::Idle {
            self.update.firmware.result = UpdateResult::NotEnoughFlash;
        }
        self.update_changed();
        // Nothing of it has to be written: it follows from what is there.
        self.storage.unmark(UPDATE);
        self.storage.unmark(PROGRESS);
        self.shown = self.update.shown();
    }

    /// Object 5 or a slot has changed: to flash, to observers, to the log.
    pub(crate) fn update_changed(&mut self) {
        self.storage.mark(UPDATE);
        self.changed();
        let firmware = self.update.firmware;
        let slots = self.update.slots.map(|s| (s.state, s.result));
        for (i, (state, result)) in slots.into_iter().enumerate() {
            if self.told_slots[i] != (state, result) {
                self.told_slots[i] = (state, result);
                self.event(Event::Slot {
                    slot: i as u8,
                    state,
                    result,
                });
            }
        }
        if self.told_firmware != firmware {
            self.told_firmware = firmware;
            self.event(Event::Firmware {
                state: firmware.state,
                result: firmware.result,
            });
        }
    }
}
