//! OSCORE on a bad net, with an attacker, and with power that fails: no nonce is used twice (the net
//! looks at each), nothing is done twice, and what was begun goes on.

use tinsmith_coap::{Code, Szx};
use tinsmith_oscore::Start;

use super::far::Far;
use super::oscore::{SECRET, bootstrap, far, registered};
use super::world::{BOOTSTRAP, SERVER, Story, World};
use crate::config::{Factory, OscoreFactory};
use crate::testing::{Board, LAYERS, WIDTH, expected, package};
use crate::{Event, SlotState};

const INPUT: [i8; WIDTH] = [5; WIDTH];

fn write_lifetime(w: &mut World, seconds: &str) -> Story<Code> {
    let answer = w.ask(SERVER, Code::PUT, "/1/0/1", |b| {
        b.payload(seconds.as_bytes()).unwrap();
    })?;
    Ok(answer.code)
}

fn update(w: &mut World, step: i8, sequence: u64) -> Story<()> {
    let package = package(step, sequence, 3_600);
    let tag = tinsmith_package::sha256(&package);
    let code = w.push_from(&package, Some(&tag[..8]), 0, Szx::new(4).unwrap())?;
    assert_eq!(code, Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "")?, Code::CHANGED);
    let slot = w.client.device.update.state.trial().unwrap();
    assert_eq!(w.execute(&format!("/27303/{slot}/10"), "")?, Code::CHANGED);
    Ok(())
}

#[test]
fn an_update_on_a_net_that_loses_doubles_and_swaps() {
    for seed in 0..12 {
        let mut w = registered();
        w.net.seed(seed);
        w.net.trouble = 3 + seed % 4;
        update(&mut w, 1, 1).unwrap();
        assert_eq!(w.slots()[0], SlotState::Active, "seed {seed}");
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
        w.net.trouble = 0;
        assert_eq!(w.firmware().unwrap(), (0, 1));
        w.net.assert_protected();
    }
}

#[test]
fn a_bootstrap_on_such_a_net() {
    for seed in 0..12 {
        let mut board = Board::small();
        board.factory = Factory::OscoreBootstrap(OscoreFactory {
            uri: "coap://10.0.0.1:5683",
            master_secret: b"the factory's",
            master_salt: b"salt",
            sender_id: b"f",
            recipient_id: b"b",
            id_context: None,
        });
        let mut w = World::new(board);
        let factory = Far::new(b"the factory's", b"f", b"b", Start::Fresh);
        w.net.add(BOOTSTRAP, factory);
        w.net.add(SERVER, far(SECRET, Start::Fresh));
        w.net.seed(seed);
        w.net.trouble = 3 + seed % 4;
        bootstrap(&mut w, SECRET).unwrap();
        w.register().unwrap();
        w.net.trouble = 0;
        assert_eq!(w.number("/1/0/1").unwrap(), 300, "seed {seed}");
        w.net.assert_protected();
    }
}

#[test]
fn whatever_is_played_again_means_nothing() {
    let mut w = registered();
    let observed = w.ask(SERVER, Code::GET, "observe /1/0/1", |_| {}).unwrap();
    assert!(observed.observe.is_some());
    assert_eq!(write_lifetime(&mut w, "400").unwrap(), Code::CHANGED);
    w.take_notifications(SERVER).unwrap();
    update(&mut w, 1, 1).unwrap();
    assert_eq!(write_lifetime(&mut w, "500").unwrap(), Code::CHANGED);
    w.take_notifications(SERVER).unwrap();
    let recorded = w.net.to_client.clone();
    assert!(recorded.len() > 20);
    for life in 0..3 {
        let (steps, events) = (w.board.flash.steps(), w.events.len());
        let objects = w.client.device.log.changes;
        for (from, datagram) in &recorded {
            // In its own name, and that of the other server.
            for from in [*from, BOOTSTRAP.parse().unwrap()] {
                w.net.inject(from, datagram);
                w.pump().unwrap();
            }
        }
        w.pass(100).unwrap();
        assert_eq!(w.board.flash.steps(), steps, "life {life}");
        assert_eq!(w.events.len(), events, "{:?}", &w.events[events..]);
        assert_eq!(w.client.device.log.changes, objects);
        assert_eq!(w.slots()[0], SlotState::Active);
        w.forget();
        assert_eq!(w.number("/1/0/1").unwrap(), 500);
        w.net.assert_protected();
        w.reboot();
        w.register().unwrap();
    }
}

/// Whatever comes until it is registered; the keys of a bootstrap are new ones each time.
fn settle(w: &mut World, secrets: &mut Vec<Vec<u8>>) -> Story<()> {
    loop {
        let before = w.events.len();
        let request = w.request()?;
        match request.path.as_str() {
            "bs" => {
                w.reply(&request, Code::SERVICE_UNAVAILABLE, "")?;
                let secret = format!("secret {}", secrets.len()).into_bytes();
                secrets.push(secret.clone());
                w.net.add(SERVER, far(&secret, Start::Fresh));
                bootstrap(w, &secret)?;
            }
            "rd" => w.reply(&request, Code::CREATED, "rd/abc")?,
            _ => w.reply(&request, Code::CHANGED, "")?,
        }
        w.pump()?;
        if w.events[before..].contains(&Event::Registered { server: 7 }) {
            return Ok(());
        }
    }
}

fn life(w: &mut World, secrets: &mut Vec<Vec<u8>>) -> Story<()> {
    settle(w, secrets)?;
    assert_eq!(write_lifetime(w, "400")?, Code::CHANGED);
    assert_eq!(w.number("/1/0/1")?, 400);
    w.net.far(SERVER).lose();
    w.forget();
    w.events.clear();
    let request = loop {
        let request = w.request()?;
        if request.path == "rd" {
            break request;
        }
        w.reply(&request, Code::CHANGED, "")?;
    };
    w.reply(&request, Code::CREATED, "rd/abc")?;
    w.pump()?;
    assert_eq!(write_lifetime(w, "300")?, Code::CHANGED);
    Ok(())
}

#[test]
fn no_nonce_is_used_twice_wherever_the_power_fails() {
    let mut cuts = 0;
    for n in 0.. {
        let mut w = World::new(Board::small());
        let mut secrets = Vec::new();
        w.board.flash.cut_after(n);
        let whole = life(&mut w, &mut secrets).is_ok();
        for _ in 0..2 {
            w.reboot();
            w.board.flash.cut_after(n);
            let _ = life(&mut w, &mut secrets);
        }
        w.reboot();
        life(&mut w, &mut secrets).unwrap();
        assert_eq!(w.board.flash.misuse(), None);
        assert!(w.net.nonces() > 4, "cut {n}");
        w.net.assert_protected();
        cuts += u32::from(!whole);
        if whole {
            break;
        }
    }
    assert!(cuts > 40, "{cuts} cuts");
}

#[test]
fn numbers_are_reserved_in_steps() {
    let mut w = registered();
    let before = w.board.flash.steps();
    for _ in 0..1_500 {
        let observed = w.ask(SERVER, Code::GET, "observe /3/0/0", |_| {}).unwrap();
        assert_eq!(observed.code, Code::CONTENT);
    }
    let written = w.board.flash.steps() - before;
    // Of 4 bytes: one record, or two.
    assert!((5..20).contains(&written), "{written} units");
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    w.net.assert_protected();
}

#[test]
fn a_flash_that_takes_no_numbers_costs_new_keys() {
    let mut w = World::new(Board::small());
    w.net.add(SERVER, far(SECRET, Start::Fresh));
    bootstrap(&mut w, SECRET).unwrap();
    // The accounts are stored; nothing else will be.
    w.reboot();
    w.failing = u32::MAX;
    let mut secrets = Vec::new();
    settle(&mut w, &mut secrets).unwrap();
    assert_eq!(w.net.far(SERVER).challenges, 1);
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    assert!(secrets.is_empty());
    w.net.assert_protected();
}
