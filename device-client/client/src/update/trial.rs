//! The trial of a module: golden inputs first, then until somebody commits, the deadline passes, or
//! the device is reset.

use tinsmith_module::{Module, SelfTestError};

use crate::client::Client;
use crate::flash::FlashRead;
use crate::objects::inference::Arena;
use crate::platform::{Now, Platform};
use crate::update::slot::{ModelResult, SlotState};

impl Client<'_> {
    /// The slot is in TRIAL; its golden inputs run once that is on flash and the answer is out.
    pub(crate) fn trial_started(&mut self, now: Now, slot: u8) {
        let seconds = self
            .update
            .slots
            .get(usize::from(slot))
            .map_or(0, |s| s.trial_s);
        self.trial_deadline = (seconds > 0).then(|| now.mono + u64::from(seconds) * 1000);
        self.self_test_due = Some(slot);
        self.forget_input();
        self.inference.forget_result();
        self.update_changed();
    }

    /// Another module runs from here on.
    pub(crate) fn trial_ended(&mut self) {
        self.trial_deadline = None;
        self.self_test_due = None;
        self.forget_input();
        self.inference.forget_result();
    }

    pub(crate) fn poll_trial(&mut self, now: Now, platform: &dyn Platform) {
        if let Some(slot) = self.self_test_due
            && self.storage_is_idle()
            && self.pending.is_none()
        {
            self.self_test_due = None;
            self.run_self_test(slot, platform);
            let entry = self.update.slots.get(usize::from(slot));
            let passed = entry.filter(|s| s.state == SlotState::Trial);
            if passed.is_some_and(|s| s.trial_s == 0) {
                // The server knows nothing of 27303 and relies on us.
                let _ = self.update.commit(slot);
                self.update_changed();
            }
        }
        if self.trial_deadline.is_some_and(|at| at <= now.mono) {
            if let Some(slot) = self.update.trial() {
                let _ = self.update.roll_back(slot, ModelResult::Deadline);
            }
            self.trial_ended();
            self.update_changed();
        }
    }

    /// Runs the golden inputs. /27303/x/8 shows the outcome; a module on trial that fails is FAILED.
    pub(crate) fn run_self_test(&mut self, slot: u8, flash: &dyn FlashRead) {
        self.forget_input();
        self.inference.arena = Arena::Undefined;
        let Some(entry) = self.update.slots.get(usize::from(slot)) else {
            return;
        };
        let Some(region) = self.config.layout.slots.get(usize::from(slot)) else {
            return;
        };
        let result = match Module::parse(flash.read(region.offset, entry.size)) {
            Err(_) => ModelResult::Unsupported,
            Ok(module) => match module.self_test(self.arena) {
                Ok(()) => ModelResult::Success,
                Err(SelfTestError::Run(_)) => ModelResult::Fault,
                Err(_) => ModelResult::SelfTest,
            },
        };
        if result != ModelResult::Success && self.update.trial() == Some(slot) {
            let _ = self.update.fail(slot, result);
            self.trial_ended();
        } else {
            self.update.slots[usize::from(slot)].result = result;
        }
        self.update_changed();
    }
}
