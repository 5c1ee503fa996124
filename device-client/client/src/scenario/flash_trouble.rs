//! Flash that is slow or fails: what is told is on flash, and what is not on flash is taken back.

use tinsmith_coap::{Code, OptionNumber, Szx};

use super::world::{SERVER, World};
use crate::SlotState;
use crate::testing::{Board, LAYERS, WIDTH, expected, package, package_with};

const INPUT: [i8; WIDTH] = [3; WIDTH];

fn install(w: &mut World, step: i8, sequence: u64) {
    assert_eq!(w.push(&package(step, sequence, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    let slot = w.client.device.update.state.trial().unwrap();
    let commit = format!("/27303/{slot}/10");
    assert_eq!(w.execute(&commit, "").unwrap(), Code::CHANGED);
}

#[test]
fn success_is_neither_notified_nor_read_before_it_is_on_flash() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    w.ask(SERVER, Code::GET, "observe /5/0/5", |_| {}).unwrap();
    w.slow = true;
    let token = w.send(SERVER, Code::POST, "/27303/0/10", |_| {}).unwrap();
    w.pass(3_000).unwrap();
    assert_eq!(w.firmware().unwrap(), (3, 0));
    assert_eq!(w.number("/27303/0/7").unwrap(), SlotState::Trial as i64);
    assert!(w.take_notifications(SERVER).unwrap().is_empty());
    w.finish_flash().unwrap();
    let answer = w.await_answer(SERVER, token).unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 1));
    assert_eq!(w.number("/27303/0/7").unwrap(), SlotState::Active as i64);
    w.pass(1_000).unwrap();
    assert_eq!(w.take_notifications(SERVER).unwrap(), [b"1"]);
}

#[test]
fn a_refusal_is_answered_when_its_result_can_be_read_back() {
    let mut w = World::registered(Board::small());
    let other = package_with(&[0; 2000], 1, 60, |h| h.class_id = [7; 16]);
    w.slow = true;
    let token = w
        .send(SERVER, Code::PUT, "/5/0/0", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
            let block = tinsmith_coap::Block::new(0, true, Szx::MAX).unwrap();
            b.block(OptionNumber::BLOCK1, block).unwrap();
            b.payload(&other[..1024]).unwrap();
        })
        .unwrap();
    assert!(w.take_datagram().is_none());
    w.finish_flash().unwrap();
    let answer = w.await_answer(SERVER, token).unwrap();
    assert_eq!(answer.code, Code::NOT_ACCEPTABLE);
    assert_eq!(w.firmware().unwrap(), (0, 6));
}

#[test]
fn an_answer_waits_for_a_notification_that_is_under_way() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    w.ask(SERVER, Code::GET, "observe /27304/0/11", |_| {})
        .unwrap();
    let written = w.ask(SERVER, Code::PUT, "/27304/0/11", |b| {
        b.payload(b"0.5").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    w.slow = true;
    let token = w.send(SERVER, Code::POST, "/5/0/2", |_| {}).unwrap();
    w.pass(3_000).unwrap();
    w.finish_flash().unwrap();
    assert!(!w.take_notifications(SERVER).unwrap().is_empty());
    let answer = w.await_answer(SERVER, token).unwrap();
    assert_eq!(answer.code, Code::CHANGED);
}

#[test]
fn a_commit_that_cannot_be_stored_is_taken_back() {
    let mut w = World::registered(Board::small());
    install(&mut w, 1, 1);
    assert_eq!(w.push(&package(2, 2, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    w.failing = 1_000;
    let code = w.execute("/27303/1/10", "").unwrap();
    assert_eq!(code, Code::INTERNAL_SERVER_ERROR);
    let after = [SlotState::Active, SlotState::RolledBack];
    assert_eq!(w.slots(), after);
    assert_eq!(w.firmware().unwrap(), (0, 8));
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    w.failing = 0;
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.slots(), after);
    install(&mut w, 3, 3);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 3, LAYERS));
}

#[test]
fn a_slot_is_not_erased_before_the_journal_says_so() {
    for failing in 1..12 {
        let mut w = World::registered(Board::small());
        install(&mut w, 1, 1);
        install(&mut w, 2, 2);
        assert_eq!(w.slots(), [SlotState::Verified, SlotState::Active]);
        w.failing = failing;
        let p = package(3, 3, 60);
        let code = w.push(&p).unwrap();
        if code == Code::CHANGED {
            assert_eq!(w.firmware().unwrap(), (2, 0), "{failing}");
            continue;
        }
        w.failing = 0;
        w.reboot();
        w.register().unwrap();
        if w.slots()[0] == SlotState::Verified {
            assert_eq!(w.execute("/27303/1/11", "").unwrap(), Code::CHANGED);
            let old = expected(&INPUT, 1, LAYERS);
            assert_eq!(w.infer(&INPUT).unwrap(), old, "{failing}");
        }
        assert_eq!(w.push(&package(3, 3, 60)).unwrap(), Code::CHANGED);
    }
}

#[test]
fn a_repeated_block_does_not_take_the_place_of_another_answer() {
    let mut w = World::registered(Board::small());
    let p = package(1, 1, 60);
    let tag = &tinsmith_package::sha256(&p)[..8];
    w.block(&p, Some(tag), 0, Szx::MAX).unwrap();
    w.slow = true;
    let write = w
        .send(SERVER, Code::PUT, "/1/0/1", |b| {
            b.payload(b"120").unwrap();
        })
        .unwrap();
    let again = w.block(&p, Some(tag), 0, Szx::MAX).unwrap();
    assert_eq!(again.code, Code::SERVICE_UNAVAILABLE);
    w.finish_flash().unwrap();
    let answer = w.await_answer(SERVER, write).unwrap();
    assert_eq!(answer.code, Code::CHANGED);
}

/// What is there must work, be what is read, and be there after a reset.
fn old_or_new(w: &mut World, at: (u32, u32)) {
    w.good = 0;
    w.failing = 0;
    w.pass(200_000).unwrap();
    let before = w.slots();
    for reset in [false, true] {
        if reset {
            w.reboot();
            w.settle().unwrap();
        }
        assert_eq!(w.slots(), before, "{at:?}");
        let got = w.infer(&INPUT).unwrap();
        let known = [1, 2].map(|step| expected(&INPUT, step, LAYERS));
        assert!(known.contains(&got), "{at:?}");
        for (slot, state) in before.into_iter().enumerate() {
            let read = w.number(&format!("/27303/{slot}/7")).unwrap();
            assert_eq!(read, state as i64, "{at:?}");
        }
    }
    let reset = w.ask(SERVER, Code::PUT, "/5/0/0", |b| {
        b.payload(&[0]).unwrap();
    });
    assert_eq!(reset.unwrap().code, Code::CHANGED, "{at:?}");
    install(w, 3, 9);
    let got = w.infer(&INPUT).unwrap();
    assert_eq!(got, expected(&INPUT, 3, LAYERS), "{at:?}");
}

#[test]
fn any_operations_of_an_update_may_fail() {
    for (failing, in_truth) in [
        (1, true),
        (3, true),
        (1, false),
        (2, false),
        (3, false),
        (7, false),
    ] {
        for good in 0.. {
            let mut w = World::registered(Board::with(2048, 32));
            install(&mut w, 1, 1);
            (w.good, w.failing) = (good, failing);
            w.in_truth = in_truth;
            let _ = w.push(&package(2, 2, 60)).unwrap();
            let _ = w.execute("/5/0/2", "").unwrap();
            if let Some(slot) = w.client.device.update.state.trial() {
                w.execute(&format!("/27303/{slot}/10"), "").unwrap();
            }
            let untouched = w.failing == failing;
            old_or_new(&mut w, (good, failing));
            if untouched {
                break;
            }
        }
    }
}
