//! Updates that go as they should, and the ways a trial ends.

use tinsmith_coap::{Code, Szx};

use super::world::{SERVER, World};
use crate::testing::{Board, LAYERS, WIDTH, expected, module, package, package_with};
use crate::{ModelResult, SlotState};

const INPUT: [i8; WIDTH] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -128, 100, 20, -5];

fn with_active(board: Board) -> World {
    let mut w = World::registered(board);
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/27303/0/10", "").unwrap(), Code::CHANGED);
    w
}

#[test]
fn push_trial_commit() {
    for (erase, write) in [(512, 4), (2048, 8), (4096, 16), (8192, 32)] {
        let mut w = World::registered(Board::with(erase, write));
        assert_eq!(w.firmware().unwrap(), (0, 0));
        assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
        assert_eq!(w.firmware().unwrap(), (2, 0));
        assert_eq!(w.slots(), [SlotState::Verified, SlotState::Empty]);
        assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
        assert_eq!(w.firmware().unwrap(), (3, 0));
        assert_eq!(w.number("/27303/0/7").unwrap(), 3);
        assert_eq!(
            w.number("/27303/0/8").unwrap(),
            1,
            "the golden inputs passed"
        );
        assert!(w.number("/27303/0/13").unwrap() > 0);
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
        assert_eq!(
            w.number("/27304/0/7").unwrap(),
            14,
            "the class is the highest output"
        );
        assert_eq!(w.execute("/27303/0/10", "").unwrap(), Code::CHANGED);
        assert_eq!(w.firmware().unwrap(), (0, 1));
        assert_eq!(w.slots()[0], SlotState::Active);
        w.reboot();
        w.register().unwrap();
        assert_eq!(w.slots()[0], SlotState::Active);
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    }
}

#[test]
fn a_second_module_goes_to_the_other_slot_and_rollback_returns() {
    let mut w = with_active(Board::small());
    assert_eq!(w.push(&package(2, 2, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.slots(), [SlotState::Active, SlotState::Verified]);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 2, LAYERS));
    assert_eq!(w.execute("/27303/1/10", "").unwrap(), Code::CHANGED);
    assert_eq!(w.slots(), [SlotState::Verified, SlotState::Active]);
    assert_eq!(w.execute("/27303/1/11", "").unwrap(), Code::CHANGED);
    assert_eq!(w.slots(), [SlotState::Active, SlotState::RolledBack]);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
}

#[test]
fn a_package_without_trial_commits_itself() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 1));
    assert_eq!(w.slots()[0], SlotState::Active);
}

#[test]
fn a_failed_self_test_keeps_the_old_module() {
    let mut w = with_active(Board::small());
    let bad = package_with(&module(2, LAYERS, false), 2, 60, |_| {});
    assert_eq!(w.push(&bad).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 8));
    assert_eq!(w.slots(), [SlotState::Active, SlotState::Failed]);
    assert_eq!(
        w.number("/27303/1/8").unwrap(),
        ModelResult::SelfTest as i64
    );
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    // The floor was not raised: the same number may come again.
    assert_eq!(w.push(&package(3, 2, 60)).unwrap(), Code::CHANGED);
}

#[test]
fn deadline_and_reset_end_a_trial() {
    for reset in [false, true] {
        let mut w = with_active(Board::small());
        assert_eq!(w.push(&package(2, 2, 60)).unwrap(), Code::CHANGED);
        assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
        let why = if reset {
            w.reboot();
            w.register().unwrap();
            ModelResult::ResetInTrial
        } else {
            w.pass(59_000).unwrap();
            assert_eq!(w.slots()[1], SlotState::Trial);
            w.pass(2_000).unwrap();
            ModelResult::Deadline
        };
        assert_eq!(w.slots(), [SlotState::Active, SlotState::RolledBack]);
        assert_eq!(w.firmware().unwrap(), (0, 8));
        assert_eq!(w.number("/27303/1/8").unwrap(), why as i64);
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    }
}

#[test]
fn activate_by_hand_with_a_deadline() {
    let mut w = World::registered(Board::small());
    assert_eq!(
        w.execute("/27303/0/9", "").unwrap(),
        Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(w.push(&package(1, 1, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/27303/0/9", "0='30'").unwrap(), Code::CHANGED);
    assert_eq!(w.slots()[0], SlotState::Trial);
    assert_eq!(w.execute("/27303/0/12", "").unwrap(), Code::CHANGED);
    w.pass(31_000).unwrap();
    assert_eq!(w.slots()[0], SlotState::RolledBack);
}

#[test]
fn reset_and_cancel_throw_the_package_away() {
    for cancel in [false, true] {
        let mut w = with_active(Board::small());
        let p = package(2, 2, 60);
        let tag = tinsmith_package::sha256(&p);
        let szx = Szx::new(5).unwrap();
        for num in 0..3 {
            w.block(&p, Some(&tag[..8]), num, szx).unwrap();
        }
        assert_eq!(w.firmware().unwrap(), (1, 0));
        assert!(w.number("/27303/1/22").unwrap() >= 3 * 512);
        let result = if cancel {
            assert_eq!(w.execute("/5/0/10", "").unwrap(), Code::CHANGED);
            10
        } else {
            let answer = w.ask(SERVER, Code::PUT, "/5/0/0", |b| {
                b.payload(&[0]).unwrap();
            });
            assert_eq!(answer.unwrap().code, Code::CHANGED);
            0
        };
        assert_eq!(w.firmware().unwrap(), (0, result));
        assert_eq!(w.slots(), [SlotState::Active, SlotState::Empty]);
        assert_eq!(w.push(&p).unwrap(), Code::CHANGED);
    }
}

#[test]
fn a_transfer_goes_on_after_a_reset_of_the_device_at_its_last_erase_unit() {
    let mut w = World::registered(Board::with(1024, 8));
    let p = package(1, 1, 60);
    let tag = tinsmith_package::sha256(&p);
    let tag = &tag[..8];
    let szx = Szx::new(5).unwrap();
    for num in 0..6 {
        w.block(&p, Some(tag), num, szx).unwrap();
    }
    assert_eq!(w.number("/27303/0/22").unwrap(), 6 * 512);
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.firmware().unwrap(), (1, 0));
    let told = w.read("/27303/0/21").unwrap();
    assert_eq!(told[0].1.as_bytes(), Some(tag));
    let received = w.number("/27303/0/22").unwrap();
    assert!(received == 1024 || received == 2048, "{received}");
    let from = received as u32 / 512;
    assert_eq!(
        w.push_from(&p, Some(tag), from, szx).unwrap(),
        Code::CHANGED
    );
    assert_eq!(w.firmware().unwrap(), (2, 0));
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
}
