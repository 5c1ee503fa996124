//! The one decision: given what is stored and what was read, what is the next step for a device?
//!
//! A pure function, asked again after every event. It never remembers; a server that was killed
//! asks it the same question after it has read the device.

use super::firmware::{self, State};
use super::record::{DeviceRecord, Failure, Step};
use super::slot::{ModelResult, Slot, SlotState};
use tinsmith_order::{Artefact, KeyId};

/// What was read from the device since it last could have changed. `None` means: read it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// /27300/0/13.
    pub digest: Option<[u8; 16]>,
    /// /5/0/3 and /5/0/5.
    pub firmware: Option<(State, i64)>,
    /// /27303.
    pub slots: Option<Vec<Slot>>,
    /// It verifies signatures (27300/0/12).
    pub verifies: bool,
    /// /27300/0/15: the keys that it trusts.
    pub trusted: Option<Vec<KeyId>>,
    /// It trusts other keys than it shall, and can be told so.
    pub stale: bool,
    /// Whether the observations of this registration were asked for.
    pub observed: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing is wanted, or it is there already, or it failed for good.
    Nothing,
    /// Read the capability digest.
    ReadDigest,
    /// Read objects 27300 to 27302.
    ReadCapability,
    /// Read object 27303.
    ReadSlots,
    /// Read which keys it trusts.
    ReadTrusted,
    /// Send it the keys that it shall trust.
    SendAnchors,
    /// Read object 5.
    ReadFirmware,
    /// Open an attempt.
    Open,
    /// Observe the states.
    Observe,
    /// Build the module.
    Build,
    /// Give the package a sequence number.
    Number,
    /// Make the Object 5 state machine Idle with Result 0.
    Reset,
    /// Send the package from this byte on.
    Push {
        /// Offset into the package.
        from: u32,
    },
    /// Execute /5/0/2.
    Install,
    /// Execute /27303/x/9: the module is there already.
    Activate {
        /// Instance of ML Model.
        slot: u16,
    },
    /// Execute /27303/x/10.
    Commit {
        /// Instance of ML Model.
        slot: u16,
    },
    /// Ask again a little later.
    Wait(Step),
    /// The device runs what it shall run.
    Succeed,
    /// Give up.
    Fail(Failure),
}

/// The next step. `now` is wall time (ms).
pub fn next(record: &DeviceRecord, view: &View, now: u64) -> Next {
    let Some(digest) = view.digest else {
        return Next::ReadDigest;
    };
    if record.capability != Some(digest) {
        return Next::ReadCapability;
    }
    let Some(slots) = &view.slots else {
        return Next::ReadSlots;
    };
    if view.verifies && view.trusted.is_none() {
        return Next::ReadTrusted;
    }
    if view.stale
        && let Some(step) = before_anchors(record, view, slots)
    {
        return step;
    }
    let Some(desired) = &record.desired else {
        return Next::Nothing;
    };
    let Some((state, result)) = view.firmware else {
        return Next::ReadFirmware;
    };

    let open = record
        .attempt
        .as_ref()
        .filter(|a| a.generation == desired.generation);
    // What a device runs is named by its module: equal modules come from equal models and options.
    // It may have been built for the same device with other firmware.
    let is_wanted = |slot: &&Slot, artefact: &Artefact| {
        slot.module == Some(artefact.module)
            && slot.model == desired.model
            && slot.version == desired.version
    };
    let runs = |artefact: &Artefact| {
        let mut active = slots.iter().filter(|slot| slot.state == SlotState::Active);
        state != State::Updating && active.any(|slot| is_wanted(&slot, artefact))
    };
    let last = record.last.as_ref();
    if open.is_none()
        && let Some(last) = last.filter(|last| last.generation == desired.generation)
    {
        match (&last.failure, &last.artefact) {
            (None, Some(artefact)) if runs(artefact) && last.capability == digest => {
                return Next::Nothing;
            }
            (None, Some(artefact)) => {
                if let Some(failure) = went_back(slots, artefact) {
                    return Next::Fail(failure);
                }
            }
            (Some(Failure::WentBack { .. }), _) => return Next::Nothing,
            (Some(_), _) if last.capability == digest => return Next::Nothing,
            _ => {}
        }
    }
    let Some(attempt) = open else {
        return Next::Open;
    };
    if now >= attempt.deadline {
        return Next::Fail(Failure::Deadline {
            hours: attempt.deadline.saturating_sub(attempt.started) / 3_600_000,
            step: format!("{:?}", attempt.step).to_lowercase(),
        });
    }
    let Some(artefact) = &attempt.artefact else {
        return Next::Build;
    };
    if runs(artefact) {
        return Next::Succeed;
    }
    if attempt.sequence.is_none() {
        return Next::Number;
    }
    if !view.observed {
        return Next::Observe;
    }

    let ours = |state: SlotState| {
        slots
            .iter()
            .find(|slot| slot.state == state && slot.module == Some(artefact.module))
    };
    if let Some(slot) = ours(SlotState::Trial) {
        // Result 1: the golden inputs gave what they must.
        return if slot.result == 1 {
            Next::Commit {
                slot: slot.instance,
            }
        } else {
            Next::Wait(Step::Trial)
        };
    }
    if state == State::Downloaded && ours(SlotState::Verified).is_some() {
        return Next::Install;
    }
    if state == State::Idle
        && !attempt.resend
        && let Some(slot) = ours(SlotState::Verified).filter(|slot| is_wanted(slot, artefact))
    {
        return Next::Activate {
            slot: slot.instance,
        };
    }
    if attempt.executed
        && state != State::Updating
        && let Some(slot) = ours(SlotState::Failed).or(ours(SlotState::RolledBack))
    {
        return Next::Fail(Failure::Trial {
            result: slot.result,
        });
    }
    let on_trial = slots.iter().any(|slot| slot.state == SlotState::Trial);
    match state {
        // What an earlier decision has begun ends by itself, and has the slot until then.
        State::Idle if on_trial => Next::Wait(Step::Installing),
        State::Updating => Next::Wait(Step::Installing),
        State::Downloaded => Next::Reset,
        State::Downloading => {
            let tag = attempt
                .package
                .map(|(package, bytes)| (package.tag(), bytes));
            let receiving = slots.iter().find(|s| !s.receiving.is_empty());
            match (tag, receiving) {
                (None, _) => Next::Push { from: 0 },
                (Some((tag, bytes)), Some(slot)) if slot.receiving == tag => {
                    if slot.received >= bytes {
                        Next::Wait(Step::Sending)
                    } else {
                        Next::Push {
                            from: slot.received,
                        }
                    }
                }
                _ => Next::Reset,
            }
        }
        State::Idle => {
            // A fault that was there before is this attempt's only if a block was refused.
            let stale = result == attempt.result_before && attempt.rejected == 0;
            if attempt.pushed && !stale && firmware::fault(result).is_some() {
                return Next::Fail(Failure::Update { result });
            }
            Next::Push { from: 0 }
        }
    }
}

/// What leads to a device that trusts other keys: Object 5 has to be idle. None while an attempt
/// needs it.
fn before_anchors(record: &DeviceRecord, view: &View, slots: &[Slot]) -> Option<Next> {
    let Some((state, _)) = view.firmware else {
        return Some(Next::ReadFirmware);
    };
    let wanted = record.desired.as_ref().map(|desired| desired.generation);
    let mut attempt = record.attempt.iter();
    let attempt = attempt.find(|attempt| Some(attempt.generation) == wanted);
    if attempt.is_some_and(|attempt| attempt.pushed || attempt.executed) {
        return None;
    }
    let on_trial = slots.iter().any(|slot| slot.state == SlotState::Trial);
    match state {
        State::Idle if on_trial => None,
        State::Idle => Some(Next::SendAnchors),
        State::Downloading | State::Downloaded if attempt.is_none() => Some(Next::Reset),
        State::Downloading | State::Downloaded | State::Updating => None,
    }
}

/// Whether the device left a module that it had committed, and why. One that can't be used any
/// more, as it is damaged or the firmware is another, is sent again.
fn went_back(slots: &[Slot], artefact: &Artefact) -> Option<Failure> {
    use ModelResult::{Fault, SelfTest, Watchdog};
    let active = slots.iter().find(|slot| slot.state == SlotState::Active)?;
    let ours = |slot: &&Slot| slot.module == Some(artefact.module);
    let left = slots.iter().find(ours)?;
    let gave_up = match left.state {
        SlotState::RolledBack | SlotState::Verified => true,
        SlotState::Failed => matches!(
            ModelResult::from_number(left.result),
            Some(SelfTest | Fault | Watchdog)
        ),
        _ => false,
    };
    gave_up.then(|| Failure::WentBack {
        runs: format!("{} {}", active.model, active.version),
        result: left.result,
    })
}
