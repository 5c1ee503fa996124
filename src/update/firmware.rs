//! Object 5 (Firmware Update) as the server sees it: states and results, in words.

use lwm2m_objects::Path;
pub use lwm2m_objects::firmware::{State, UpdateResult};
use lwm2m_objects::ids::{FIRMWARE_UPDATE, firmware_update as id};

/// The only instance.
pub(crate) const OBJECT: Path = Path::instance(FIRMWARE_UPDATE, 0);
/// Package: what is pushed.
pub(crate) const PACKAGE: Path = Path::resource(FIRMWARE_UPDATE, 0, id::PACKAGE);
/// Package URI; written empty, it makes the state machine Idle.
pub(crate) const PACKAGE_URI: Path = Path::resource(FIRMWARE_UPDATE, 0, id::PACKAGE_URI);
/// Update: installs.
pub(crate) const UPDATE: Path = Path::resource(FIRMWARE_UPDATE, 0, id::UPDATE);
/// State.
pub(crate) const STATE: Path = Path::resource(FIRMWARE_UPDATE, 0, id::STATE);
/// Update Result.
pub(crate) const RESULT: Path = Path::resource(FIRMWARE_UPDATE, 0, id::UPDATE_RESULT);

/// Resource 5, Update Result: what went wrong, or `None` for 0 (initial) and 1 (success).
pub fn fault(result: i64) -> Option<&'static str> {
    match UpdateResult::from_number(result) {
        Some(result) => result.is_fault().then(|| result.name()),
        None => Some("unknown result"),
    }
}

/// Whether another try of the same package can end differently.
pub fn transient(result: i64) -> bool {
    UpdateResult::from_number(result).is_some_and(UpdateResult::is_transient)
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
        assert_eq!(State::from_number(3), Some(State::Updating));
        assert_eq!(State::from_number(4), None);
    }
}
