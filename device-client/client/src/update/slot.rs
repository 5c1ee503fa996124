//! The states of a module slot (an instance of 27303) as a table, and what is known of its module.
//!
//! ```text
//!            Receive              Verified            Activate         Commit
//!   EMPTY ------------> RECEIVING --------> VERIFIED ---------> TRIAL --------> ACTIVE
//!     ^                   |   |             |  ^  |              |  |            |  |
//!     +------ Drop -------+---|-------------+  |  +-- Restore ---|--|----------->|  |
//!                             |                +------------- Supersede ---------+  |
//!                          Fail                                Fail  RollBack       RollBack
//!                             v                                  v  v               v
//!                          FAILED <------------------------------+  ROLLED BACK <---+
//! ```
//!
//! Receive is possible from EMPTY, VERIFIED, FAILED and ROLLED BACK, never from ACTIVE or TRIAL.

use crate::text::Text;

/// /27303/x/7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// No module.
    Empty = 0,
    /// A package is being written here.
    Receiving = 1,
    /// Complete; digest, device, ABI and memory match.
    Verified = 2,
    /// Runs, not committed.
    Trial = 3,
    /// Runs.
    Active = 4,
    /// Refused, or failed its self test.
    Failed = 5,
    /// Ran, and was replaced by the module before.
    RolledBack = 6,
}

impl SlotState {
    pub(crate) const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Empty,
            1 => Self::Receiving,
            2 => Self::Verified,
            3 => Self::Trial,
            4 => Self::Active,
            5 => Self::Failed,
            6 => Self::RolledBack,
            _ => return None,
        })
    }

    /// The state after an event, none if the table does not allow it.
    pub(crate) fn next(self, event: SlotEvent) -> Option<Self> {
        let mut rows = TABLE.iter();
        let row = rows.find(|(from, on, _)| *from == self && *on == event);
        row.map(|(_, _, to)| *to)
    }

    /// The slot holds a module that was complete and checked.
    pub(crate) const fn holds_module(self) -> bool {
        matches!(
            self,
            Self::Verified | Self::Trial | Self::Active | Self::RolledBack
        )
    }
}

/// /27303/x/8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelResult {
    /// Nothing to tell.
    None = 0,
    /// Committed, or the self test passed.
    Success = 1,
    /// The signature is not valid, or the package is older than the last one committed.
    Signature = 2,
    /// The bytes are not those the package promises.
    Digest = 3,
    /// Built for another device.
    OtherDevice = 4,
    /// Built for another runtime ABI.
    Abi = 5,
    /// Needs more arena than there is.
    Arena = 6,
    /// Does not fit the slot.
    Storage = 7,
    /// Needs an operator or format that this device does not have.
    Unsupported = 8,
    /// The golden inputs gave other results.
    SelfTest = 9,
    /// The module ran into a fault.
    Fault = 10,
    /// The watchdog ended it.
    Watchdog = 11,
    /// Nobody committed in time.
    Deadline = 12,
    /// The device was reset while the trial ran.
    ResetInTrial = 13,
}

impl ModelResult {
    pub(crate) const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::None,
            1 => Self::Success,
            2 => Self::Signature,
            3 => Self::Digest,
            4 => Self::OtherDevice,
            5 => Self::Abi,
            6 => Self::Arena,
            7 => Self::Storage,
            8 => Self::Unsupported,
            9 => Self::SelfTest,
            10 => Self::Fault,
            11 => Self::Watchdog,
            12 => Self::Deadline,
            13 => Self::ResetInTrial,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotEvent {
    Receive,
    Verified,
    Drop,
    Activate,
    Commit,
    Fail,
    RollBack,
    Supersede,
    Restore,
}

use SlotState::{Active, Empty, Failed, Receiving, RolledBack, Trial, Verified};

const TABLE: [(SlotState, SlotEvent, SlotState); 17] = [
    (Empty, SlotEvent::Receive, Receiving),
    (Receiving, SlotEvent::Verified, Verified),
    (Receiving, SlotEvent::Fail, Failed),
    (Receiving, SlotEvent::Drop, Empty),
    (Verified, SlotEvent::Receive, Receiving),
    (Verified, SlotEvent::Drop, Empty),
    (Verified, SlotEvent::Activate, Trial),
    (Verified, SlotEvent::Restore, Active),
    (Verified, SlotEvent::Fail, Failed),
    (Trial, SlotEvent::Commit, Active),
    (Trial, SlotEvent::Fail, Failed),
    (Trial, SlotEvent::RollBack, RolledBack),
    (Active, SlotEvent::Supersede, Verified),
    (Active, SlotEvent::RollBack, RolledBack),
    (Active, SlotEvent::Fail, Failed),
    (Failed, SlotEvent::Receive, Receiving),
    (RolledBack, SlotEvent::Receive, Receiving),
];

/// What is known of the module in a slot; the head of its package, kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) state: SlotState,
    pub(crate) result: ModelResult,
    /// Bytes of the module.
    pub(crate) size: u32,
    pub(crate) sequence: u64,
    pub(crate) arena: u32,
    /// Seconds until the automatic rollback; 0: commits itself.
    pub(crate) trial_s: u32,
    pub(crate) digest: [u8; 32],
    pub(crate) source: [u8; 32],
    pub(crate) built_for: [u8; 16],
    pub(crate) name: Text<64>,
    pub(crate) version: Text<32>,
    pub(crate) compiler: Text<64>,
}

impl Slot {
    pub(crate) const EMPTY: Self = Self {
        state: Empty,
        result: ModelResult::None,
        size: 0,
        sequence: 0,
        arena: 0,
        trial_s: 0,
        digest: [0; 32],
        source: [0; 32],
        built_for: [0; 16],
        name: Text::EMPTY,
        version: Text::EMPTY,
        compiler: Text::EMPTY,
    };

    /// Moves on if the table allows it.
    pub(crate) fn apply(&mut self, event: SlotEvent) -> bool {
        let next = self.state.next(event);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_module_is_never_received_into_or_dropped() {
        for state in [Active, Trial] {
            for event in [SlotEvent::Receive, SlotEvent::Drop, SlotEvent::Verified] {
                let mut slot = Slot {
                    state,
                    ..Slot::EMPTY
                };
                assert!(!slot.apply(event));
                assert_eq!(slot.state, state);
            }
        }
    }

    #[test]
    fn the_table_has_no_row_twice() {
        for (i, a) in TABLE.iter().enumerate() {
            assert!(TABLE[i + 1..].iter().all(|b| (a.0, a.1) != (b.0, b.1)));
        }
    }

    #[test]
    fn numbers_round_trip() {
        for n in 0..=6 {
            assert_eq!(SlotState::from_u8(n).unwrap() as u8, n);
        }
        for n in 0..=13 {
            assert_eq!(ModelResult::from_u8(n).unwrap() as u8, n);
        }
    }
}
