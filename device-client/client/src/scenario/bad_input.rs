//! What a hostile or broken sender may send.

use tinsmith_coap::{Code, Szx};
use tinsmith_package::Head;

use super::world::{SERVER, World};
use crate::testing::{
    Board, LAYERS, WIDTH, expected, module, module_with_goldens, package, package_with,
};
use crate::{ModelResult, SlotState};

const INPUT: [i8; WIDTH] = [1; WIDTH];

fn szx() -> Szx {
    Szx::new(5).unwrap()
}

fn with_active() -> World {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 5, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.slots()[0], SlotState::Active);
    w
}

/// The old module works, and a good package is taken.
fn still_good(w: &mut World) {
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    assert_eq!(w.push(&package(4, 100, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 4, LAYERS));
}

#[test]
fn heads_that_ask_for_another_device_are_refused_before_anything_is_erased() {
    let good = module(2, LAYERS, true);
    type Spoil = fn(&mut Head<'_>);
    let cases: [(&str, Spoil, i64, i64); 6] = [
        ("vendor", |h| h.vendor_id = [1; 16], 6, 4),
        ("class", |h| h.class_id = [1; 16], 6, 4),
        ("abi", |h| h.abi = 99, 6, 5),
        ("arena", |h| h.arena_bytes = 1 << 20, 3, 6),
        ("sequence", |h| h.sequence = 5, 8, 2),
        ("slot", |h| h.slot = Some(0), 6, 4),
    ];
    for (what, spoil, update, model) in cases {
        let mut w = with_active();
        let before = w.board.flash.image()[8192..].to_vec();
        let p = package_with(&good, 6, 60, spoil);
        let code = w.push(&p).unwrap();
        assert!(!code.is_success(), "{what}: {code}");
        assert_eq!(w.firmware().unwrap(), (0, update), "{what}");
        assert_eq!(w.number("/27303/1/8").unwrap(), model, "{what}");
        assert_eq!(w.board.flash.image()[8192..], before[..], "{what}");
        still_good(&mut w);
    }
}

#[test]
fn a_module_that_is_too_large_for_the_slot() {
    let mut w = with_active();
    let p = package_with(&vec![1; 9000], 6, 60, |_| {});
    assert_eq!(w.push(&p).unwrap(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(w.firmware().unwrap(), (0, 2));
    still_good(&mut w);
}

#[test]
fn corrupted_payloads_fail_at_the_digest() {
    let good = package(2, 6, 60);
    for at in [good.len() - 1, good.len() / 2, good.len() - 4000] {
        let mut w = with_active();
        let mut p = good.clone();
        p[at] ^= 0x10;
        let _ = w.push(&p).unwrap();
        assert_eq!(w.firmware().unwrap(), (0, 5), "byte {at}");
        assert_eq!(w.number("/27303/1/8").unwrap(), ModelResult::Digest as i64);
        still_good(&mut w);
    }
}

#[test]
fn every_byte_of_the_head_may_be_wrong() {
    let good = package(2, 6, 60);
    let head = good.len() - module(2, LAYERS, true).len();
    for at in (0..head).step_by(7) {
        let mut w = with_active();
        let mut p = good.clone();
        p[at] ^= 0x01;
        let _ = w.push(&p).unwrap();
        let (state, result) = w.firmware().unwrap();
        assert_eq!(state, 0, "byte {at}");
        assert!(result != 0 && result != 1, "byte {at}: result {result}");
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    }
}

#[test]
fn a_payload_that_is_no_module() {
    let mut w = with_active();
    let p = package_with(&[0x55; 3000], 6, 60, |_| {});
    assert_eq!(w.push(&p).unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 6));
    assert_eq!(w.slots()[1], SlotState::Failed);
    still_good(&mut w);
}

#[test]
fn a_module_that_would_run_too_long() {
    let mut w = with_active();
    let endless = module_with_goldens(2, 2, true, 140);
    let p = package_with(&endless, 6, 60, |_| {});
    assert_eq!(w.push(&p).unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 6));
    assert_eq!(w.slots()[1], SlotState::Failed);
    still_good(&mut w);
}

#[test]
fn truncated_and_oversized_packages() {
    let good = package(2, 6, 60);
    let long = [&good[..], &[0; 700]].concat();
    for (what, bytes) in [("short", &good[..good.len() - 600]), ("long", &long[..])] {
        let mut w = with_active();
        assert!(!w.push(bytes).unwrap().is_success(), "{what}");
        assert_eq!(w.firmware().unwrap(), (0, 5), "{what}");
        still_good(&mut w);
    }
    let mut w = with_active();
    assert!(!w.push(&good[..40]).unwrap().is_success());
    assert_eq!(w.firmware().unwrap(), (0, 5));
    still_good(&mut w);
}

#[test]
fn blocks_out_of_order_repeated_and_foreign() {
    let mut w = with_active();
    let p = package(2, 6, 60);
    let tag = tinsmith_package::sha256(&p);
    let tag = Some(&tag[..8]);
    // The middle of something nobody has begun.
    let answer = w.block(&p, tag, 3, szx()).unwrap();
    assert_eq!(answer.code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(w.firmware().unwrap(), (0, 1));
    for num in 0..3 {
        w.block(&p, tag, num, szx()).unwrap();
    }
    let steps = w.board.flash.steps();
    // Repeated: answered as before, without touching the flash.
    for num in [0, 2, 1] {
        let again = w.block(&p, tag, num, szx()).unwrap();
        assert_eq!(
            (again.code, again.block1.unwrap().num),
            (Code::CONTINUE, num)
        );
    }
    assert_eq!(w.board.flash.steps(), steps);
    // A gap.
    let answer = w.block(&p, tag, 5, szx()).unwrap();
    assert_eq!(answer.code, Code::REQUEST_ENTITY_INCOMPLETE);
    // Another package, while this one is under way.
    for other in [Some(&b"whatever"[..]), None] {
        let answer = w.block(&p, other, 0, szx()).unwrap();
        assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED);
    }
    assert_eq!(w.firmware().unwrap(), (1, 0));
    assert_eq!(w.push_from(&p, tag, 3, szx()).unwrap(), Code::CHANGED);
    // The last block again, as after a lost answer.
    let last = (p.len() / 512) as u32;
    assert_eq!(w.block(&p, tag, last, szx()).unwrap().code, Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (2, 0));
    let answer = w.block(&p, Some(b"whatever"), 0, szx()).unwrap();
    assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    let answer = w.block(&p, tag, 0, szx()).unwrap();
    assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED, "while updating");
    assert_eq!(w.execute("/5/0/10", "").unwrap(), Code::METHOD_NOT_ALLOWED);
}

#[test]
fn small_blocks_and_a_changing_block_size() {
    for exponent in [0, 2, 6] {
        let mut w = with_active();
        let p = package(2, 6, 0);
        let tag = tinsmith_package::sha256(&p);
        let szx = Szx::new(exponent).unwrap();
        assert_eq!(
            w.push_from(&p, Some(&tag[..8]), 0, szx).unwrap(),
            Code::CHANGED
        );
        assert_eq!(w.firmware().unwrap(), (2, 0));
    }
    let mut w = with_active();
    let p = package(2, 6, 0);
    for num in 0..2 {
        w.block(&p, None, num, Szx::MAX).unwrap();
    }
    assert_eq!(
        w.push_from(&p, None, 8, Szx::new(4).unwrap()).unwrap(),
        Code::CHANGED
    );
    assert_eq!(w.firmware().unwrap(), (2, 0));
}

#[test]
fn any_datagram() {
    use proptest::prelude::*;
    let mut w = with_active();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        cases: 400,
        ..ProptestConfig::default()
    });
    let world = std::cell::RefCell::new(&mut w);
    runner
        .run(
            &proptest::collection::vec(any::<u8>(), 0..200),
            |mut bytes| {
                let mut w = world.borrow_mut();
                // Half of them look like requests.
                if bytes.len() > 4 && bytes[0] & 1 == 0 {
                    bytes[0] = 0x42;
                    bytes[1] &= 7;
                }
                w.deliver(SERVER, &bytes).unwrap();
                while w.take_datagram().is_some() {}
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(w.board.flash.misuse(), None);
}

#[test]
fn any_request() {
    use tinsmith_coap::{Block, OptionNumber};
    // xorshift64: the requests are the same in every run.
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let codes = [Code::GET, Code::PUT, Code::POST, Code::DELETE, Code::FETCH];
    let objects = [
        0, 1, 1, 3, 5, 5, 5, 27300, 27301, 27303, 27303, 27304, 27304, 9,
    ];
    let formats = [0, 40, 42, 60, 110, 112, 11542, 11543, 65535];
    let mut w = with_active();
    let mut answers = [0; 8];
    for round in 0..40_000 {
        let mut path = String::new();
        let depth = [0, 1, 2, 3, 3, 3, 3, 4, 5][random(9) as usize];
        for level in 0..depth {
            let id = match level {
                0 => objects[random(14) as usize],
                1 => random(3),
                _ => [random(24), random(70_000)][usize::from(random(9) == 0)],
            };
            path += &format!("/{id}");
        }
        if random(20) == 0 {
            path = "/bs".into();
        }
        if random(4) == 0 {
            path = format!("observe {path}");
        }
        let from = if random(8) == 0 {
            super::world::BOOTSTRAP
        } else {
            SERVER
        };
        let code = codes[random(5) as usize];
        let token = w.send(from, code, &path, |b| {
            if random(2) == 0 {
                let format = formats[random(9) as usize];
                b.uint(OptionNumber::CONTENT_FORMAT, format).unwrap();
            }
            if random(4) == 0 {
                b.option(OptionNumber::URI_QUERY, b"pmin=5").unwrap();
            }
            if random(3) == 0 {
                let format = formats[random(9) as usize];
                b.uint(OptionNumber::ACCEPT, format).unwrap();
            }
            for option in [OptionNumber::BLOCK2, OptionNumber::BLOCK1] {
                if random(3) == 0 {
                    let num = [0, 0, 1, random(1 << 20)][random(4) as usize] as u32;
                    let szx = Szx::new(random(7) as u8).unwrap();
                    let block = Block::new(num, random(2) == 0, szx).unwrap();
                    b.block(option, block).unwrap();
                }
            }
            if random(6) == 0 {
                b.option(OptionNumber::REQUEST_TAG, b"12345678").unwrap();
            }
            let len = [0, 1, 8, 16, 64, 512, 1024, random(1100)][random(8) as usize];
            let fill = [0, 0x30, 0xFF, 0x61][random(4) as usize];
            let mut payload = vec![fill; len as usize];
            if random(3) == 0 {
                payload.iter_mut().for_each(|b| *b = random(256) as u8);
            }
            if !payload.is_empty() {
                b.payload(&payload).unwrap();
            }
        });
        token.unwrap();
        if random(10) == 0 {
            w.pass(random(3_000)).unwrap();
        }
        while let Some((_, bytes)) = w.take_datagram() {
            answers[usize::from(bytes[1] >> 5)] += 1;
        }
        w.now.wall += random(3) as i64;
        if w.rebooted || round % 100 == 99 {
            w.rebooted = false;
            w.reboot();
        }
    }
    assert_eq!(w.board.flash.misuse(), None);
    assert!(answers[2] > 1_000 && answers[4] > 1_000, "{answers:?}");
    assert!(w.slots().contains(&SlotState::Active));
    w.reboot();
    w.settle().unwrap();
    still_good(&mut w);
}
