//! What a device has run, so that an operator can go back to it.

use super::record::{Desired, DeviceRecord, Installed};
use super::slot::{Slot, SlotState};
use tinsmith_digest::Digest;
use tinsmith_order::Artefact;

/// Seconds of the trial of a model that the device was given by somebody else.
const TRIAL: u32 = 600;

impl Installed {
    fn of(desired: &Desired, artefact: Option<Artefact>) -> Box<Self> {
        Box::new(Installed {
            model: desired.model.clone(),
            version: desired.version.clone(),
            source: desired.source,
            trial_s: desired.trial_s,
            artefact,
        })
    }

    fn in_slot(slot: &Slot) -> Option<Box<Self>> {
        Some(Box::new(Installed {
            model: slot.model.clone(),
            version: slot.version.clone(),
            source: slot.source?,
            trial_s: TRIAL,
            artefact: None,
        }))
    }

    fn names(&self) -> (&str, &str, &Digest) {
        (&self.model, &self.version, &self.source)
    }

    fn module(&self) -> Option<Digest> {
        self.artefact.as_ref().map(|artefact| artefact.module)
    }
}

impl DeviceRecord {
    /// The wanted model was installed.
    pub(super) fn succeeded(&mut self, artefact: Option<Artefact>) {
        let Some(desired) = &self.desired else {
            return;
        };
        let new = Installed::of(desired, artefact);
        let old = self.installed.replace(new.clone());
        if let Some(old) = old.filter(|old| old.names() != new.names()) {
            self.before = Some(old);
        }
    }

    /// The device went back to what is in this slot.
    pub(super) fn went_back(&mut self, active: &Slot) {
        let before = self.before.take();
        self.installed = before
            .filter(|before| active.module.is_some() && before.module() == active.module)
            .or_else(|| Installed::in_slot(active));
    }

    /// Takes up what a version before this one has installed; it did not name it.
    pub(super) fn recall(&mut self) {
        if let (None, Some(desired), Some(last)) = (&self.installed, &self.desired, &self.last)
            && last.failure.is_none()
            && last.generation == desired.generation
        {
            self.installed = Some(Installed::of(desired, last.artefact.clone()));
        }
    }

    /// Where a rollback goes: to what runs, if something else is wanted, else to what ran before;
    /// `None` if nothing is known of that.
    pub fn previous(&self) -> Option<Installed> {
        let wanted = self.desired.as_ref().map(|d| Installed::of(d, None));
        let now = wanted.as_ref().or(self.installed.as_ref());
        let is_other = |other: &Installed| now.is_none_or(|now| now.names() != other.names());
        let known = self.installed.iter().chain(&self.before).cloned();
        let held = [SlotState::Active, SlotState::Verified]
            .into_iter()
            .flat_map(|state| self.slots.iter().filter(move |slot| slot.state == state))
            .filter_map(Installed::in_slot);
        known.chain(held).map(|found| *found).find(is_other)
    }
}
