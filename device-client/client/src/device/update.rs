//! Where the update stands: Object 5, the slots, the transfer and the trial.

use super::Device;
use super::storage::UPDATE;
use crate::event::Event;
use crate::flash::SLOTS;
use crate::handler::Ticket;
use crate::platform::Now;
use crate::update::firmware::Firmware;
use crate::update::receiver::{RECEIVE, Receiver};
use crate::update::slot::{ModelResult, SlotState};
use crate::update::state::{Shown, UpdateState};

/// Where the update stands.
pub(crate) struct Update<'a> {
    pub(crate) state: &'a mut UpdateState,
    /// The transfer under way.
    pub(crate) receiver: Option<Receiver>,
    /// Its bytes that are not on flash.
    pub(crate) buffer: &'a mut [u8; RECEIVE],
    /// What servers are told.
    pub(crate) shown: Shown,
    /// What the log was told.
    told_firmware: Firmware,
    told_slots: [(SlotState, ModelResult); SLOTS],
    /// Monotonic milliseconds at which the trial ends.
    pub(crate) trial_deadline: Option<u64>,
    /// Slot whose golden inputs must be run.
    pub(crate) self_test_due: Option<u8>,
    /// A Commit that waits for them.
    pub(crate) commit_asked: Option<Ticket>,
}

impl<'a> Update<'a> {
    pub(crate) fn new(state: &'a mut UpdateState, buffer: &'a mut [u8; RECEIVE]) -> Self {
        Self {
            state,
            receiver: None,
            buffer,
            shown: UpdateState::NEW.shown(),
            told_firmware: Firmware::NEW,
            told_slots: [(SlotState::Empty, ModelResult::None); SLOTS],
            trial_deadline: None,
            self_test_due: None,
            commit_asked: None,
        }
    }

    /// Seconds until the trial ends (/27303/x/13), 0 without one.
    pub(crate) fn trial_left(&self, now: Now) -> u64 {
        let left = |at: u64| at.saturating_sub(now.mono).div_ceil(1000);
        self.trial_deadline.map_or(0, left)
    }

    /// /27303/x/22 of the transfer under way.
    pub(crate) fn told(&self) -> u32 {
        self.receiver.as_ref().map_or(0, Receiver::told)
    }
}

impl Device<'_> {
    /// Object 5 or a slot has changed: to flash, to observers, to the log.
    pub(crate) fn update_changed(&mut self) {
        self.storage.mark(UPDATE);
        self.log.changed();
        let update = &mut self.update;
        let slots = update.state.slots.iter().zip(&mut update.told_slots);
        for (i, (slot, told)) in slots.enumerate() {
            let (state, result) = (slot.state, slot.result);
            if *told != (state, result) {
                *told = (state, result);
                self.log.event(Event::Slot {
                    slot: i as u8,
                    state,
                    result,
                });
            }
        }
        let firmware = update.state.firmware;
        if update.told_firmware != firmware {
            update.told_firmware = firmware;
            self.log.event(Event::Firmware {
                state: firmware.state,
                result: firmware.result,
            });
        }
    }
}
