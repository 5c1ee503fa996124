//! The trial of a module: golden inputs first, then until somebody commits, the deadline passes, or
//! the device is reset.

use tinsmith_module::{Module, SelfTestError};

use crate::device::Device;
use crate::engine::Arena;
use crate::flash::FlashRead;
use crate::platform::{Now, Platform};
use crate::update::slot::{ModelResult, SlotState};

impl Device<'_> {
    /// The slot is in TRIAL; its golden inputs run once that is on flash and the answer is out.
    pub(crate) fn trial_started(&mut self, now: Now, slot: u8) {
        let seconds = self
            .update
            .state
            .slots
            .get(usize::from(slot))
            .map_or(0, |s| s.trial_s);
        self.update.trial_deadline = (seconds > 0).then(|| now.mono + u64::from(seconds) * 1000);
        self.update.self_test_due = Some(slot);
        self.forget_input();
        self.engine.forget_result();
        self.update_changed();
    }

    /// Another module runs from here on.
    pub(crate) fn trial_ended(&mut self) {
        self.update.trial_deadline = None;
        self.update.self_test_due = None;
        self.forget_input();
        self.engine.forget_result();
    }

    /// `answered`: the answer to what began the trial is out.
    pub(crate) fn poll_trial(&mut self, now: Now, answered: bool, platform: &dyn Platform) {
        if let Some(slot) = self.update.self_test_due
            && self.storage_is_idle()
            && answered
        {
            self.update.self_test_due = None;
            self.run_self_test(slot, platform);
            let entry = self.update.state.slots.get(usize::from(slot));
            let passed = entry.filter(|s| s.state == SlotState::Trial);
            if passed.is_some_and(|s| s.trial_s == 0) {
                // The server knows nothing of 27303 and relies on us.
                let _ = self.update.state.commit(slot);
                self.update_changed();
            }
        }
        if self.update.trial_deadline.is_some_and(|at| at <= now.mono) {
            if let Some(slot) = self.update.state.trial() {
                let _ = self.update.state.roll_back(slot, ModelResult::Deadline);
            }
            self.trial_ended();
            self.update_changed();
        }
    }

    /// Runs the golden inputs. /27303/x/8 shows the outcome; a module on trial that fails is FAILED.
    pub(crate) fn run_self_test(&mut self, slot: u8, flash: &dyn FlashRead) {
        self.forget_input();
        self.engine.content = Arena::Undefined;
        let Some(entry) = self.update.state.slots.get(usize::from(slot)) else {
            return;
        };
        let Some(region) = self.config.layout.slots.get(usize::from(slot)) else {
            return;
        };
        let result = match Module::parse(flash.read(region.offset, entry.size)) {
            Err(_) => ModelResult::Unsupported,
            Ok(module) => match module.self_test(self.engine.arena) {
                Ok(()) => ModelResult::Success,
                Err(SelfTestError::Run(_)) => ModelResult::Fault,
                Err(_) => ModelResult::SelfTest,
            },
        };
        if result != ModelResult::Success && self.update.state.trial() == Some(slot) {
            let _ = self.update.state.fail(slot, result);
            self.trial_ended();
        } else {
            self.update.state.slots[usize::from(slot)].result = result;
        }
        self.update_changed();
    }
}
