//! Object 5, the slots and the sequence floor: what changes together and is one record of the
//! journal.

use crate::flash::SLOTS;
use crate::store::codec::{Reader, Writer};
use crate::update::firmware::{Firmware, FirmwareState, Trigger, UpdateResult};
use crate::update::slot::{ModelResult, Slot, SlotEvent, SlotState};

const SCHEMA: u8 = 2;
/// The same without signers.
const UNSIGNED: u8 = 1;
const NO_SLOT: u8 = 0xFF;

/// A request that the state machines do not allow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAllowed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UpdateState {
    pub(crate) firmware: Firmware,
    pub(crate) slots: [Slot; SLOTS],
    /// The slot that the package of Object 5 is in, from its head until the update ends.
    pub(crate) target: Option<u8>,
    /// The slot that a rollback of the running module returns to.
    pub(crate) previous: Option<u8>,
    /// Highest sequence number ever committed.
    pub(crate) floor: u64,
}

/// States and results of Object 5 and the slots. Servers see those of the last record on flash, so
/// that none is told what a power cut could take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) firmware: Firmware,
    pub(crate) slots: [(SlotState, ModelResult); SLOTS],
}

impl UpdateState {
    pub(crate) fn shown(&self) -> Shown {
        Shown {
            firmware: self.firmware,
            slots: self.slots.map(|s| (s.state, s.result)),
        }
    }

    pub(crate) const NEW: Self = Self {
        firmware: Firmware::NEW,
        slots: [Slot::EMPTY; SLOTS],
        target: None,
        previous: None,
        floor: 0,
    };

    fn find(&self, state: SlotState) -> Option<u8> {
        self.slots
            .iter()
            .position(|s| s.state == state)
            .map(|i| i as u8)
    }

    /// The committed module.
    pub(crate) fn active(&self) -> Option<u8> {
        self.find(SlotState::Active)
    }

    /// The module on trial.
    pub(crate) fn trial(&self) -> Option<u8> {
        self.find(SlotState::Trial)
    }

    /// Whether a package is on its way, or a module on trial.
    pub(crate) fn is_under_way(&self) -> bool {
        self.firmware.state != FirmwareState::Idle || self.trial().is_some()
    }

    /// The module that inference runs: the one on trial, else the committed one.
    pub(crate) fn running(&self) -> Option<u8> {
        self.trial().or_else(|| self.active())
    }

    /// Where the next package goes: never over the committed module.
    pub(crate) fn free_slot(&self) -> Option<u8> {
        let cost = |s: &Slot| match s.state {
            SlotState::Empty => Some(0),
            SlotState::Failed | SlotState::RolledBack => Some(1),
            SlotState::Verified => Some(2),
            SlotState::Receiving | SlotState::Trial | SlotState::Active => None,
        };
        let all = self.slots.iter().enumerate();
        all.filter_map(|(i, s)| Some((cost(s)?, i as u8)))
            .min()
            .map(|(_, i)| i)
    }

    /// A package may go to this slot.
    pub(crate) fn may_receive(&self, slot: u8) -> bool {
        let slot = self.slots.get(usize::from(slot));
        slot.is_some_and(Slot::may_receive)
    }

    /// Moves Object 5 on.
    pub(crate) fn trigger(&mut self, trigger: Trigger) -> Result<(), NotAllowed> {
        self.firmware = self.firmware.next(trigger).ok_or(NotAllowed)?;
        Ok(())
    }

    fn slot_mut(&mut self, slot: u8) -> Result<&mut Slot, NotAllowed> {
        self.slots.get_mut(usize::from(slot)).ok_or(NotAllowed)
    }

    fn apply(&mut self, slot: u8, event: SlotEvent) -> Result<(), NotAllowed> {
        if self.slot_mut(slot)?.apply(event) {
            Ok(())
        } else {
            Err(NotAllowed)
        }
    }

    /// The head of a package was accepted; what the slot held is gone. Gives the slot, for what is
    /// known of the new module.
    pub(crate) fn receive(&mut self, slot: u8) -> Result<&mut Slot, NotAllowed> {
        self.apply(slot, SlotEvent::Receive)?;
        self.target = Some(slot);
        if self.previous == Some(slot) {
            self.previous = None;
        }
        let entry = self.slot_mut(slot)?;
        *entry = Slot::EMPTY;
        entry.state = SlotState::Receiving;
        Ok(entry)
    }

    /// The package is complete and checked.
    pub(crate) fn verified(&mut self) -> Result<(), NotAllowed> {
        let slot = self.target.ok_or(NotAllowed)?;
        self.apply(slot, SlotEvent::Verified)?;
        self.trigger(Trigger::PackageComplete)
    }

    /// The package is refused; `slot` shows why.
    pub(crate) fn refuse(&mut self, slot: Option<u8>, result: UpdateResult, why: ModelResult) {
        let _ = self.trigger(Trigger::Refused(result));
        self.target = None;
        let Some(slot) = slot else { return };
        let receiving = self.slots.get(usize::from(slot)).map(|s| s.state);
        if receiving == Some(SlotState::Receiving) {
            let _ = self.apply(slot, SlotEvent::Fail);
        }
        if let Ok(entry) = self.slot_mut(slot) {
            entry.result = why;
        }
    }

    /// Reset or Cancel of Object 5: the package is thrown away.
    pub(crate) fn abandon(&mut self, trigger: Trigger) -> Result<(), NotAllowed> {
        self.trigger(trigger)?;
        if let Some(slot) = self.target.take() {
            self.apply(slot, SlotEvent::Drop)?;
            self.slots[usize::from(slot)] = Slot::EMPTY;
        }
        Ok(())
    }

    /// Execute /5/0/2. Gives the slot whose trial begins.
    pub(crate) fn start_update(&mut self) -> Result<u8, NotAllowed> {
        let slot = self.target.ok_or(NotAllowed)?;
        if self.firmware.state != FirmwareState::Downloaded || self.trial().is_some() {
            return Err(NotAllowed);
        }
        self.activate(slot, None)?;
        Ok(slot)
    }

    /// Execute /27303/x/9 (or /5/0/2): VERIFIED to TRIAL.
    pub(crate) fn activate(&mut self, slot: u8, trial_s: Option<u32>) -> Result<(), NotAllowed> {
        if self.trial().is_some() {
            return Err(NotAllowed);
        }
        self.apply(slot, SlotEvent::Activate)?;
        let entry = self.slot_mut(slot)?;
        entry.result = ModelResult::None;
        if let Some(s) = trial_s {
            entry.trial_s = s;
        }
        if self.target == Some(slot) && self.firmware.state == FirmwareState::Downloaded {
            self.trigger(Trigger::UpdateStarted)?;
        }
        Ok(())
    }

    /// TRIAL to ACTIVE; the floor rises, the module before stays to return to.
    pub(crate) fn commit(&mut self, slot: u8) -> Result<(), NotAllowed> {
        let before = self.active();
        self.apply(slot, SlotEvent::Commit)?;
        let entry = self.slot_mut(slot)?;
        entry.result = ModelResult::Success;
        let sequence = entry.sequence;
        self.floor = self.floor.max(sequence);
        if let Some(old) = before {
            self.apply(old, SlotEvent::Supersede)?;
        }
        self.previous = before;
        self.end_update(slot, Trigger::Committed);
        Ok(())
    }

    /// TRIAL or ACTIVE back to the module before; not from ACTIVE if there is none, or if another
    /// is on trial, which would leave nothing to return to.
    pub(crate) fn roll_back(&mut self, slot: u8, why: ModelResult) -> Result<(), NotAllowed> {
        let was_active = self.active() == Some(slot);
        if was_active && (self.previous.is_none() || self.trial().is_some()) {
            return Err(NotAllowed);
        }
        self.apply(slot, SlotEvent::RollBack)?;
        self.slot_mut(slot)?.result = why;
        self.restore(was_active);
        self.end_update(slot, Trigger::RolledBack);
        Ok(())
    }

    /// TRIAL (or, at boot, ACTIVE) to FAILED; the module before runs again.
    pub(crate) fn fail(&mut self, slot: u8, why: ModelResult) -> Result<(), NotAllowed> {
        let was_active = self.active() == Some(slot);
        self.apply(slot, SlotEvent::Fail)?;
        self.previous.take_if(|previous| *previous == slot);
        self.slot_mut(slot)?.result = why;
        self.restore(was_active);
        self.end_update(slot, Trigger::RolledBack);
        Ok(())
    }

    fn restore(&mut self, was_active: bool) {
        if !was_active {
            return;
        }
        if let Some(previous) = self.previous.take() {
            let _ = self.apply(previous, SlotEvent::Restore);
        }
    }

    fn end_update(&mut self, slot: u8, trigger: Trigger) {
        if self.target == Some(slot) {
            let _ = self.trigger(trigger);
            self.target = None;
        }
    }

    /// After a reset: a trial that nobody committed is over.
    ///
    /// True if something changed.
    pub(crate) fn after_reset(&mut self) -> bool {
        let mut changed = false;
        if let Some(slot) = self.trial() {
            changed = self.roll_back(slot, ModelResult::ResetInTrial).is_ok();
        }
        let receiving = self.find(SlotState::Receiving);
        let downloading = self.firmware.state == FirmwareState::Downloading;
        if downloading && (self.target.is_none() || receiving != self.target) {
            let _ = self.trigger(Trigger::Refused(UpdateResult::ConnectionLost));
            self.target = None;
            changed = true;
        }
        for slot in &mut self.slots {
            if slot.state == SlotState::Receiving
                && self.firmware.state != FirmwareState::Downloading
            {
                *slot = Slot::EMPTY;
                changed = true;
            }
        }
        changed
    }

    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        w.u8(SCHEMA);
        w.u8(self.firmware.state as u8);
        w.u8(self.firmware.result as u8);
        w.u8(self.target.unwrap_or(NO_SLOT));
        w.u8(self.previous.unwrap_or(NO_SLOT));
        w.u64(self.floor);
        for s in &self.slots {
            w.u8(s.state as u8);
            w.u8(s.result as u8);
            w.u32(s.size);
            w.u64(s.sequence);
            w.u32(s.arena);
            w.u32(s.trial_s);
            w.bytes(&s.digest);
            w.bytes(&s.source);
            w.bytes(&s.built_for);
            w.bytes(&s.signer);
            w.short(s.name.as_bytes());
            w.short(s.version.as_bytes());
            w.short(s.compiler.as_bytes());
        }
        w.finish()
    }

    /// Takes what [`encode`](Self::encode) has written; as new if there is none or it is something
    /// else.
    pub(crate) fn decode(&mut self, data: Option<&[u8]>) {
        *self = Self::NEW;
        if data.is_some_and(|data| self.read(data).is_none()) {
            *self = Self::NEW;
        }
    }

    fn read(&mut self, data: &[u8]) -> Option<()> {
        let mut r = Reader::new(data);
        let schema = r.u8()?;
        if !matches!(schema, SCHEMA | UNSIGNED) {
            return None;
        }
        let slot = |n: u8| Some(n).filter(|n| usize::from(*n) < SLOTS);
        self.firmware = Firmware {
            state: FirmwareState::from_number(r.u8()?.into())?,
            result: UpdateResult::from_number(r.u8()?.into())?,
        };
        self.target = slot(r.u8()?);
        self.previous = slot(r.u8()?);
        self.floor = r.u64()?;
        for s in &mut self.slots {
            s.state = SlotState::from_number(r.u8()?.into())?;
            s.result = ModelResult::from_number(r.u8()?.into())?;
            s.size = r.u32()?;
            s.sequence = r.u64()?;
            s.arena = r.u32()?;
            s.trial_s = r.u32()?;
            r.fill(&mut s.digest)?;
            r.fill(&mut s.source)?;
            r.fill(&mut s.built_for)?;
            if schema == SCHEMA {
                r.fill(&mut s.signer)?;
            }
            s.name.set(r.text()?)?;
            s.version.set(r.text()?)?;
            s.compiler.set(r.text()?)?;
        }
        Some(())
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
