//! The package as it arrives at /5/0/0: which part is taken, when it is refused, what happens at its
//! end.

use tinsmith_coap::Code;
use tinsmith_package::{Head, Kind, PackageError, Parsed, Refusal};

use super::Device;
use super::capability::Facts;
use super::storage::PROGRESS;
use super::trust::{Announced, Trust};
use crate::config::Config;
use crate::flash::FlashRead;
use crate::handler::{Done, Part};
use crate::text::Bytes;
use crate::update::firmware::{FirmwareState, Trigger, UpdateResult};
use crate::update::receiver::{self, Receiver, Tag};
use crate::update::slot::ModelResult;
use crate::update::state::UpdateState;

impl Device<'_> {
    /// A part of a Write of /5/0/0 in opaque format.
    pub(crate) fn push(&mut self, part: Part<'_>, flash: &dyn FlashRead) -> Result<Done, Code> {
        let Part {
            offset,
            bytes,
            last,
            ..
        } = part;
        if offset == 0 && last && matches!(bytes, [] | [0]) {
            return self.abandon(Trigger::Reset);
        }
        let tag: Tag = part.tag.and_then(Bytes::new);
        let state = self.update.state.firmware.state;
        match state {
            FirmwareState::Updating => return Err(Code::METHOD_NOT_ALLOWED),
            FirmwareState::Idle if offset > 0 => return Err(Code::REQUEST_ENTITY_INCOMPLETE),
            FirmwareState::Idle => {
                self.drop_receiver();
                self.update.receiver = Some(Receiver::new(tag));
            }
            FirmwareState::Downloading | FirmwareState::Downloaded => {
                let same = self.update.receiver.as_ref().is_some_and(|r| {
                    r.tag == tag && (tag.is_some() || state == FirmwareState::Downloading)
                });
                if !same {
                    return Err(Code::METHOD_NOT_ALLOWED);
                }
            }
        }
        let Some(receiver) = self.update.receiver.as_mut() else {
            return Err(Code::INTERNAL_SERVER_ERROR);
        };
        // Another server's part of the same package is on its way to the flash.
        let held = u64::from(offset) + bytes.len() as u64 <= u64::from(receiver.received);
        if !held && receiver.has_work(&self.config.layout) {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        match receiver.take(offset, bytes, last, self.update.buffer) {
            receiver::Block::Duplicate => return Ok(Done::Stored),
            receiver::Block::Gap => return Err(Code::REQUEST_ENTITY_INCOMPLETE),
            receiver::Block::WrongLength if state == FirmwareState::Downloaded => {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            receiver::Block::WrongLength => {
                return Ok(self.refuse_with(PackageError::Malformed));
            }
            receiver::Block::Taken => {}
        }
        if state == FirmwareState::Idle {
            // The table has this row for Idle.
            let _ = self.update.state.trigger(Trigger::PackageStarted);
            self.update_changed();
        }
        let in_head = self.update.receiver.as_ref();
        if in_head.is_some_and(|r| r.payload.is_none())
            && let Err(error) = self.take_head(last)
        {
            return Ok(self.refuse_with(error));
        }
        // A payload of nothing needs no flash operation that would end it.
        if let Some(r) = &self.update.receiver
            && r.is_complete()
            && !r.has_work(&self.config.layout)
        {
            self.package_complete(flash);
        }
        Ok(Done::Stored)
    }

    fn take_head(&mut self, last: bool) -> Result<(), PackageError> {
        let update = &mut self.update;
        let Some(receiver) = update.receiver.as_mut() else {
            return Ok(());
        };
        let arrived = update.buffer.get(..receiver.buffered).unwrap_or(&[]);
        let (offset, len) = match &Head::parse(arrived)? {
            Parsed::NeedMore if last => return Err(PackageError::Malformed),
            Parsed::NeedMore => return Ok(()),
            Parsed::Complete {
                head,
                authentication,
                payload_offset,
                payload_len,
            } => {
                let announced = Announced {
                    head,
                    authentication,
                    fits: receiver.fits(*payload_offset, *payload_len, last),
                };
                if head.kind == Kind::Anchors {
                    let payload = arrived.get(*payload_offset..).unwrap_or(&[]);
                    let (facts, config) = (&self.facts, &self.config);
                    if self
                        .trust
                        .take(&announced, payload, update.state.floor, facts, config)?
                    {
                        self.anchors_taken();
                    }
                    return Ok(());
                }
                let trust = &self.trust;
                accept(update.state, trust, &self.facts, &self.config, &announced)?;
                (*payload_offset, *payload_len)
            }
        };
        receiver.begin_payload(offset, len, update.buffer);
        self.storage.mark(PROGRESS);
        self.update_changed();
        Ok(())
    }

    /// Refuses the package at its head or in the middle: an error code stops the sender.
    fn refuse_with(&mut self, error: PackageError) -> Done {
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
        Done::Refused(code)
    }

    pub(crate) fn refuse_package(&mut self, result: UpdateResult, why: ModelResult) {
        self.drop_receiver();
        let shown = self
            .update
            .state
            .target
            .or_else(|| self.update.state.free_slot());
        self.update.state.refuse(shown, result, why);
        self.update_changed();
    }

    /// Reset or Cancel.
    pub(crate) fn abandon(&mut self, trigger: Trigger) -> Result<Done, Code> {
        self.update
            .state
            .abandon(trigger)
            .map_err(|_| Code::METHOD_NOT_ALLOWED)?;
        self.drop_receiver();
        self.update_changed();
        Ok(Done::Stored)
    }

    /// Every byte is in the slot: the last checks before Downloaded.
    pub(crate) fn package_complete(&mut self, flash: &dyn FlashRead) {
        if self.update.state.firmware.state != FirmwareState::Downloading {
            return;
        }
        let Some(slot) = self.update.state.target else {
            return;
        };
        match self.check_module(slot, flash) {
            Ok(arena) => {
                self.update.state.slots[usize::from(slot)].arena = arena;
                // Downloading and RECEIVING both have this row.
                let _ = self.update.state.verified();
                self.update_changed();
            }
            Err((result, why)) => self.refuse_package(result, why),
        }
    }
}

/// Begins to receive what a head announces, if this device takes it.
#[inline(never)]
fn accept(
    state: &mut UpdateState,
    trust: &Trust<'_>,
    facts: &Facts,
    config: &Config<'_>,
    announced: &Announced<'_>,
) -> Result<(), PackageError> {
    let head = announced.head;
    let slot = match (head.slot, state.free_slot()) {
        (None, Some(slot)) => slot,
        (Some(wanted), Some(_)) if state.may_receive(wanted) => wanted,
        _ => return Err(Refusal::Component.into()),
    };
    let size = config.layout.slots[usize::from(slot)].size;
    let floor = trust.floor(state.floor);
    head.check(&facts.package_receiver(config, size, floor))?;
    if !announced.fits {
        return Err(PackageError::Malformed);
    }
    let signer = trust.verify(announced.authentication, config)?;
    let entry = state.receive(slot).map_err(|_| Refusal::Component)?;
    entry.size = head.size;
    entry.sequence = head.sequence;
    entry.arena = head.arena_bytes;
    entry.trial_s = head.trial_s;
    entry.digest = head.digest;
    entry.source = head.source_digest;
    entry.built_for = facts.digest;
    entry.signer = signer;
    // The head's texts are no longer than there is place for.
    let _ = entry.name.set(head.model_name);
    let _ = entry.version.set(head.model_version);
    let _ = entry.compiler.set(head.compiler);
    Ok(())
}
