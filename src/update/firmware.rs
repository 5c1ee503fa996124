//! Object 5 (Firmware Update) as the server sees it: states and results, in words.

use serde::{Deserialize, Serialize};

/// Resource 3, State.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// 0: nothing under way.
    Idle,
    /// 1: blocks are arriving.
    Downloading,
    /// 2: complete and verified.
    Downloaded,
    /// 3: installing; for a module also its trial.
    Updating,
}

impl State {
    /// From the resource's value.
    pub fn from_value(value: i64) -> Option<Self> {
        Some(match value {
            0 => Self::Idle,
            1 => Self::Downloading,
            2 => Self::Downloaded,
            3 => Self::Updating,
            _ => return None,
        })
    }
}

/// Resource 5, Update Result: what went wrong, or `None` for 0 (initial) and 1 (success).
pub fn fault(result: i64) -> Option<&'static str> {
    Some(match result {
        0 | 1 => return None,
        2 => "not enough flash for the package",
        3 => "out of RAM while downloading",
        4 => "connection lost while downloading",
        5 => "integrity check of the package failed",
        6 => "package type or target not supported",
        7 => "invalid URI",
        8 => "update failed",
        9 => "protocol not supported",
        10 => "cancelled",
        11 => "deferred",
        _ => "unknown result",
    })
}

/// Whether another try of the same package can end differently.
pub fn transient(result: i64) -> bool {
    matches!(result, 3 | 4 | 10 | 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_but_initial_and_success_is_a_fault() {
        for result in 0..=12 {
            assert_eq!(fault(result).is_none(), result <= 1, "{result}");
        }
        assert!(transient(4) && !transient(5) && !transient(8));
        assert_eq!(State::from_value(3), Some(State::Updating));
        assert_eq!(State::from_value(4), None);
    }
}
