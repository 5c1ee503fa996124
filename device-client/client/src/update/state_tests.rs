use super::*;
use crate::text::Text;

fn module(sequence: u64) -> Slot {
    Slot {
        sequence,
        size: 100,
        name: Text::new("m").unwrap(),
        ..Slot::EMPTY
    }
}

fn receive(u: &mut UpdateState, slot: u8, sequence: u64) {
    *u.receive(slot).unwrap() = Slot {
        state: SlotState::Receiving,
        ..module(sequence)
    };
}

fn install(u: &mut UpdateState, sequence: u64) -> u8 {
    let slot = u.free_slot().unwrap();
    u.trigger(Trigger::PackageStarted).unwrap();
    receive(u, slot, sequence);
    u.verified().unwrap();
    assert_eq!(u.start_update(), Ok(slot));
    slot
}

fn running_one() -> UpdateState {
    let mut u = UpdateState::NEW;
    let slot = install(&mut u, 5);
    u.commit(slot).unwrap();
    assert_eq!((u.active(), u.floor, u.previous), (Some(0), 5, None));
    assert_eq!(u.firmware.result, UpdateResult::Success);
    u
}

#[test]
fn commit_keeps_the_module_before_and_rollback_returns_to_it() {
    let mut u = running_one();
    let slot = install(&mut u, 6);
    assert_eq!((slot, u.running(), u.active()), (1, Some(1), Some(0)));
    assert_eq!(u.floor, 5);
    u.commit(slot).unwrap();
    assert_eq!((u.active(), u.previous, u.floor), (Some(1), Some(0), 6));
    assert_eq!(u.slots[0].state, SlotState::Verified);
    u.roll_back(1, ModelResult::None).unwrap();
    assert_eq!((u.active(), u.previous), (Some(0), None));
    assert_eq!(u.slots[1].state, SlotState::RolledBack);
}

#[test]
fn a_failed_trial_leaves_the_old_module_active() {
    for reset in [false, true] {
        let mut u = running_one();
        let slot = install(&mut u, 6);
        if reset {
            assert!(u.after_reset());
            assert_eq!(u.slots[1].result, ModelResult::ResetInTrial);
        } else {
            u.fail(slot, ModelResult::SelfTest).unwrap();
            assert_eq!(u.slots[1].state, SlotState::Failed);
        }
        assert_eq!((u.active(), u.floor), (Some(0), 5));
        let idle = Firmware {
            state: FirmwareState::Idle,
            result: UpdateResult::Failed,
        };
        assert_eq!(u.firmware, idle);
        assert_eq!(u.free_slot(), Some(1));
        assert!(!u.after_reset());
    }
}

#[test]
fn the_state_survives_the_journal() {
    let mut u = running_one();
    install(&mut u, 7);
    let mut buf = [0; crate::store::journal::MAX_DATA];
    let n = u.encode(&mut buf).unwrap();
    let decoded = |data| {
        let mut other = running_one();
        other.decode(data);
        other
    };
    assert_eq!(decoded(Some(&buf[..n])), u);
    assert_eq!(decoded(Some(&buf[..n - 1])), UpdateState::NEW);
    assert_eq!(decoded(None), UpdateState::NEW);
}

#[test]
fn abandoning_empties_the_slot() {
    for trigger in [Trigger::Reset, Trigger::Cancel] {
        let mut u = running_one();
        u.trigger(Trigger::PackageStarted).unwrap();
        receive(&mut u, 1, 9);
        u.abandon(trigger).unwrap();
        assert_eq!(u.slots[1], Slot::EMPTY);
        assert_eq!((u.active(), u.target), (Some(0), None));
    }
    let mut u = running_one();
    assert_eq!(u.abandon(Trigger::Cancel), Err(NotAllowed));
}

#[test]
fn every_byte_of_a_record_may_be_wrong() {
    let u = running_one();
    let mut buf = [0; crate::store::journal::MAX_DATA];
    let n = u.encode(&mut buf).unwrap();
    for i in 0..n {
        let mut bad = buf;
        bad[i] ^= 0xFF;
        UpdateState::NEW.clone().decode(Some(&bad[..n]));
    }
}
