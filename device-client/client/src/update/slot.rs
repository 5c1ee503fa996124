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

pub(crate) use lwm2m_objects::compute::{ModelResult, SlotState};

use tinsmith_package::KeyId;

use crate::text::Text;

/// In the place of a key id: no signature was asked for.
pub(crate) const NOBODY: KeyId = [0; 8];

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

/// The state after an event, none if the table does not allow it.
fn next(state: SlotState, event: SlotEvent) -> Option<SlotState> {
    let mut rows = TABLE.iter();
    let row = rows.find(|(from, on, _)| *from == state && *on == event);
    row.map(|(_, _, to)| *to)
}

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
    /// The key that signed its package, [`NOBODY`] if nobody was asked for.
    pub(crate) signer: KeyId,
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
        signer: NOBODY,
        name: Text::EMPTY,
        version: Text::EMPTY,
        compiler: Text::EMPTY,
    };

    /// A package may go here.
    pub(crate) fn may_receive(&self) -> bool {
        next(self.state, SlotEvent::Receive).is_some()
    }

    /// Moves on if the table allows it.
    pub(crate) fn apply(&mut self, event: SlotEvent) -> bool {
        let next = next(self.state, event);
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
}
