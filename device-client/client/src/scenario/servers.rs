//! Two management servers: what one of them does or refuses never touches the other.

use lwm2m_objects::format::{ContentFormat, encode_vec};
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Block, Code, OptionNumber, Szx};

use super::world::{BOOTSTRAP, Request, SERVER, World};
use crate::testing::Board;
use crate::{Event, SlotState};

const OTHER: &str = "10.0.0.3:5783";

/// A device with accounts for both servers; neither has answered yet.
fn bootstrapped() -> World {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    for (i, address) in [SERVER, OTHER].into_iter().enumerate() {
        let (i, short_id) = (i as u16, OwnedValue::Integer(7 + i as i64));
        let security = [
            (
                Path::resource(0, 1 + i, 0),
                OwnedValue::String(format!("coap://{address}")),
            ),
            (Path::resource(0, 1 + i, 10), short_id.clone()),
        ];
        let server = [
            (Path::resource(1, i, 0), short_id),
            (Path::resource(1, i, 1), OwnedValue::Integer(3_600)),
        ];
        for (path, values) in [
            (format!("/0/{}", 1 + i), security),
            (format!("/1/{i}"), server),
        ] {
            let answer = w
                .put(BOOTSTRAP, &path, &values, ContentFormat::TLV)
                .unwrap();
            assert_eq!(answer.code, Code::CHANGED);
        }
    }
    let finished = w.ask(BOOTSTRAP, Code::POST, "bs", |_| {}).unwrap();
    assert_eq!(finished.code, Code::CHANGED);
    w
}

fn is_from(request: &Request, server: &str) -> bool {
    request.to.to_string() == server
}

/// Registered at both.
fn registered() -> World {
    let mut w = bootstrapped();
    for _ in 0..2 {
        let request = w.request().unwrap();
        assert_eq!(request.path, "rd");
        w.reply(&request, Code::CREATED, "rd/a").unwrap();
    }
    w
}

#[test]
fn a_server_that_refuses_is_asked_again_while_the_other_works() {
    let mut w = bootstrapped();
    let mut refused = 0;
    let mut updates = 0;
    while refused < 20 {
        let request = w.request().unwrap();
        if is_from(&request, OTHER) {
            assert_eq!(request.path, "rd");
            w.reply(&request, Code::FORBIDDEN, "").unwrap();
            refused += 1;
        } else if request.path == "rd" {
            assert_eq!(updates, 0, "registered once");
            w.reply(&request, Code::CREATED, "rd/a").unwrap();
            let observed = w.ask(SERVER, Code::GET, "observe /3/0/11", |_| {}).unwrap();
            assert!(observed.observe.is_some());
        } else {
            assert_eq!(request.path, "rd/a", "no bootstrap");
            w.reply(&request, Code::CHANGED, "").unwrap();
            updates += 1;
        }
    }
    assert!(updates > 0);
    let observing = |w: &World, i: usize| {
        let all = w.client.sessions[i].observations().iter();
        all.filter(|o| o.is_some()).count()
    };
    assert_eq!((observing(&w, 1), observing(&w, 2)), (1, 0));
    // It comes back.
    let request = w.request().unwrap();
    assert!(is_from(&request, OTHER));
    w.reply(&request, Code::CREATED, "rd/b").unwrap();
    assert!(w.events.contains(&Event::Registered { server: 8 }));
}

#[test]
fn when_no_server_answers_the_client_bootstraps() {
    let mut w = bootstrapped();
    let mut asked = [0, 0];
    loop {
        let request = w.request().unwrap();
        if request.path == "bs" {
            break;
        }
        asked[usize::from(is_from(&request, OTHER))] += 1;
        w.reply(&request, Code::SERVICE_UNAVAILABLE, "").unwrap();
    }
    assert!(asked.iter().all(|n| *n >= 6), "{asked:?}");
}

#[test]
fn what_waits_for_the_flash_does_not_hold_up_the_other() {
    let mut w = registered();
    w.slow = true;
    let write = |w: &mut World, from: &str, path: &str| {
        w.send(from, Code::PUT, path, |b| {
            b.payload(b"120").unwrap();
        })
        .unwrap()
    };
    let first = write(&mut w, SERVER, "/1/0/1");
    let second = write(&mut w, OTHER, "/1/1/1");
    w.finish_flash().unwrap();
    for (from, token) in [(SERVER, first), (OTHER, second)] {
        assert_eq!(w.await_answer(from, token).unwrap().code, Code::CHANGED);
    }
    // Neither may write the account of the other.
    let token = write(&mut w, OTHER, "/1/0/1");
    let answer = w.await_answer(OTHER, token).unwrap();
    assert_eq!(answer.code, Code::UNAUTHORIZED);
}

#[test]
fn a_record_that_is_lost_fails_those_who_rely_on_it() {
    let mut w = registered();
    assert_eq!(
        w.push(&crate::testing::package(1, 1, 60)).unwrap(),
        Code::CHANGED
    );
    w.slow = true;
    let lifetime = w
        .send(OTHER, Code::PUT, "/1/1/1", |b| {
            b.payload(b"120").unwrap();
        })
        .unwrap();
    w.failing = 1_000;
    let execute = w.send(SERVER, Code::POST, "/5/0/2", |_| {}).unwrap();
    // The account's record is being written, and then the update's fails.
    w.finish_flash().unwrap();
    let code = |w: &mut World, from, token| w.await_answer(from, token).unwrap().code;
    let failed = Code::INTERNAL_SERVER_ERROR;
    assert_eq!(code(&mut w, SERVER, execute), failed);
    assert_eq!(code(&mut w, OTHER, lifetime), failed);
    w.failing = 0;
    w.slow = false;
    assert_eq!(w.slots()[0], SlotState::Verified);
    let again = w.ask(OTHER, Code::PUT, "/1/1/1", |b| {
        b.payload(b"120").unwrap();
    });
    assert_eq!(again.unwrap().code, Code::CHANGED);
}

#[test]
fn each_server_has_its_share_of_the_observations() {
    let mut w = registered();
    let observe = |w: &mut World, from: &str, resource: u16| {
        let path = format!("observe /3/0/{resource}");
        w.ask(from, Code::GET, &path, |_| {}).unwrap().observe
    };
    for (resource, taken) in [(0, true), (1, true), (2, false)] {
        assert_eq!(observe(&mut w, SERVER, resource).is_some(), taken);
    }
    assert!(observe(&mut w, OTHER, 0).is_some());
}

#[test]
fn two_servers_send_bodies_in_blocks() {
    let mut w = registered();
    let body = |i: u16| {
        let value = |r, n| (Path::resource(1, i, r), OwnedValue::Integer(n));
        let mandatory = [
            (Path::resource(1, i, 6), OwnedValue::Boolean(false)),
            (Path::resource(1, i, 7), OwnedValue::String("U".into())),
        ];
        let values = [
            value(1, 86_400),
            value(2, 100_000),
            value(3, 200_000),
            value(5, 86_400),
        ];
        let base = Path::instance(1, i);
        let values = [&values[..], &mandatory].concat();
        encode_vec(ContentFormat::TLV, &base, &values).unwrap()
    };
    let send = |w: &mut World, from: &str, i: u16, num: usize| {
        let body = body(i);
        let szx = Szx::new(0).unwrap();
        let end = (16 * num + 16).min(body.len());
        let answer = w.ask(from, Code::PUT, &format!("/1/{i}"), |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 11542).unwrap();
            let block = Block::new(num as u32, end < body.len(), szx).unwrap();
            b.block(OptionNumber::BLOCK1, block).unwrap();
            b.payload(&body[16 * num..end]).unwrap();
        });
        answer.unwrap().code
    };
    assert_eq!(send(&mut w, SERVER, 0, 0), Code::CONTINUE);
    assert_eq!(send(&mut w, OTHER, 1, 0), Code::SERVICE_UNAVAILABLE);
    assert_eq!(send(&mut w, SERVER, 0, 1), Code::CHANGED, "untouched");
    assert_eq!(send(&mut w, OTHER, 1, 0), Code::CONTINUE);
    // The sender has given up: there is room again, and what it sends late does not fit.
    w.pass(46_000).unwrap();
    assert_eq!(send(&mut w, SERVER, 0, 0), Code::CONTINUE);
    assert_eq!(send(&mut w, OTHER, 1, 1), Code::SERVICE_UNAVAILABLE);
    assert_eq!(send(&mut w, SERVER, 0, 1), Code::CHANGED);
}
