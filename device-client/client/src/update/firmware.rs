//! The state machine of Firmware Update (Object 5, version 1.1) as a table.
//!
//! ```text
//!          PackageStarted              PackageComplete             UpdateStarted
//!   Idle ----------------> Downloading ---------------> Downloaded -------------> Updating
//!    ^  ^                     |   |                        |                       |   |
//!    |  +-- Reset, Cancel ----+   |                        |                       |   |
//!    +----- Refused (2, 3, 4, 5, 6, 8) ----+               |                       |   |
//!    +------------------------------------ Reset, Cancel --+                       |   |
//!    +---------------------------------------------------------- Committed (1) ----+   |
//!    +---------------------------------------------------------- RolledBack (8) -------+
//! ```

pub(crate) use lwm2m_objects::firmware::{State as FirmwareState, UpdateResult};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The head of a package was accepted.
    PackageStarted,
    /// Last byte, and every check passed.
    PackageComplete,
    /// The package is refused: at its head, in the middle, or at its end.
    Refused(UpdateResult),
    /// Package `\0` or an empty Package URI was written.
    Reset,
    /// Execute Cancel.
    Cancel,
    /// Execute Update.
    UpdateStarted,
    /// The trial ended well.
    Committed,
    /// The trial failed.
    RolledBack,
}

impl Trigger {
    const fn kind(self) -> &'static str {
        match self {
            Self::PackageStarted => "PackageStarted",
            Self::PackageComplete => "PackageComplete",
            Self::Refused(_) => "Refused",
            Self::Reset => "Reset",
            Self::Cancel => "Cancel",
            Self::UpdateStarted => "UpdateStarted",
            Self::Committed => "Committed",
            Self::RolledBack => "RolledBack",
        }
    }
}

/// (from, trigger, to, result; none takes the result of the trigger)
type Row = (
    FirmwareState,
    &'static str,
    FirmwareState,
    Option<UpdateResult>,
);

use FirmwareState::{Downloaded, Downloading, Idle, Updating};

const TABLE: [Row; 13] = [
    (
        Idle,
        "PackageStarted",
        Downloading,
        Some(UpdateResult::Initial),
    ),
    (Idle, "Refused", Idle, None),
    (Idle, "Reset", Idle, Some(UpdateResult::Initial)),
    (
        Downloading,
        "PackageComplete",
        Downloaded,
        Some(UpdateResult::Initial),
    ),
    (Downloading, "Refused", Idle, None),
    (Downloading, "Reset", Idle, Some(UpdateResult::Initial)),
    (Downloading, "Cancel", Idle, Some(UpdateResult::Cancelled)),
    (Downloaded, "Reset", Idle, Some(UpdateResult::Initial)),
    (Downloaded, "Cancel", Idle, Some(UpdateResult::Cancelled)),
    (
        Downloaded,
        "UpdateStarted",
        Updating,
        Some(UpdateResult::Initial),
    ),
    (Downloaded, "Refused", Idle, None),
    (Updating, "Committed", Idle, Some(UpdateResult::Success)),
    (Updating, "RolledBack", Idle, Some(UpdateResult::Failed)),
];

/// State and Update Result, which change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firmware {
    pub(crate) state: FirmwareState,
    pub(crate) result: UpdateResult,
}

impl Firmware {
    pub(crate) const NEW: Self = Self {
        state: Idle,
        result: UpdateResult::Initial,
    };

    /// The state after `trigger`, none if the table does not have it.
    pub(crate) fn next(self, trigger: Trigger) -> Option<Self> {
        let row = TABLE
            .iter()
            .find(|(from, on, ..)| *from == self.state && *on == trigger.kind())?;
        let given = match trigger {
            Trigger::Refused(result) => result,
            _ => self.result,
        };
        Some(Self {
            state: row.2,
            result: row.3.unwrap_or(given),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIGGERS: [Trigger; 8] = [
        Trigger::PackageStarted,
        Trigger::PackageComplete,
        Trigger::Refused(UpdateResult::IntegrityFailed),
        Trigger::Reset,
        Trigger::Cancel,
        Trigger::UpdateStarted,
        Trigger::Committed,
        Trigger::RolledBack,
    ];

    #[test]
    fn every_pair_of_state_and_trigger() {
        let mut text = String::new();
        for state in [Idle, Downloading, Downloaded, Updating] {
            for trigger in TRIGGERS {
                let to = Firmware {
                    state,
                    result: UpdateResult::Initial,
                }
                .next(trigger);
                let to = to.map(|f| format!("{:?}/{}", f.state, f.result as u8));
                if let Some(to) = to {
                    text += &format!("{state:?} {} {to}\n", trigger.kind());
                }
            }
        }
        assert_eq!(
            text,
            "Idle PackageStarted Downloading/0\n\
             Idle Refused Idle/5\n\
             Idle Reset Idle/0\n\
             Downloading PackageComplete Downloaded/0\n\
             Downloading Refused Idle/5\n\
             Downloading Reset Idle/0\n\
             Downloading Cancel Idle/10\n\
             Downloaded Refused Idle/5\n\
             Downloaded Reset Idle/0\n\
             Downloaded Cancel Idle/10\n\
             Downloaded UpdateStarted Updating/0\n\
             Updating Committed Idle/1\n\
             Updating RolledBack Idle/8\n"
        );
    }
}
