//! The trial of a module: golden inputs first, then until somebody commits, the deadline passes, or
//! the device is reset.

use tinsmith_coap::Code;

use super::Device;
use crate::handler::{Done, Ticket};
use crate::platform::Now;
use crate::update::slot::ModelResult;

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
        self.stop_job();
        self.update.self_test_due = Some(slot);
        self.forget_input();
        self.engine.forget_result();
        self.update_changed();
    }

    /// A Commit that comes before the golden inputs have run.
    pub(crate) fn commit_later(&mut self, slot: u8, ticket: Ticket) -> Result<Done, Code> {
        if self.update.state.trial() != Some(slot) {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if self.update.commit_asked.is_some() {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        self.update.commit_asked = Some(ticket);
        Ok(Done::Later)
    }

    /// Another module runs from here on.
    pub(crate) fn trial_ended(&mut self) {
        let asked = self.update.commit_asked.take();
        self.finished(asked, Err(Code::METHOD_NOT_ALLOWED), true);
        self.update.trial_deadline = None;
        self.update.self_test_due = None;
        self.stop_job();
        self.forget_input();
        self.engine.forget_result();
    }

    /// `answered`: the answer to what began the trial is out.
    pub(crate) fn poll_trial(&mut self, now: Now, answered: bool) {
        if let Some(slot) = self.update.self_test_due
            && self.storage_is_idle()
            && answered
            && self.engine.job.is_none()
        {
            self.start_self_test(slot, None);
        }
        if self.update.trial_deadline.is_some_and(|at| at <= now.mono) {
            if let Some(slot) = self.update.state.trial() {
                let _ = self.update.state.roll_back(slot, ModelResult::Deadline);
            }
            self.trial_ended();
            self.update_changed();
        }
    }
}
