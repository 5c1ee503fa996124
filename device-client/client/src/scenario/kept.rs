//! Sessions with DTLS outlive a reset: no further handshake, no number used twice, nothing taken
//! twice.

use tinsmith_dtls::ContentType;

use super::secured::{FACTORY, Pair, Server, registered};
use super::world::boot;
use crate::config::{Factory, SecureFactory};
use crate::{Event, Output};

const REGISTERED: Event = Event::Registered { server: 1 };
/// GET /3/0, confirmable.
const REQUEST: [u8; 8] = [0x40, 1, 0x12, 0x34, 0xb1, b'3', 1, b'0'];

fn reset(pair: &mut Pair) {
    pair.board.flash.restore();
    pair.events.clear();
    pair.now.mono += 10;
    pair.client = boot(&mut pair.board, pair.now, &[]).unwrap();
}

fn server(pair: &mut Pair) -> &mut Server {
    pair.server.as_mut().expect("it is there")
}

fn deliver(pair: &mut Pair, record: &[u8]) {
    let (from, mut record) = (Pair::address(), record.to_vec());
    pair.client
        .receive(pair.now, from, &mut record, &mut pair.board);
    pair.settle();
}

#[test]
fn no_handshake_after_a_reset() {
    let mut pair = registered();
    for _ in 0..20 {
        reset(&mut pair);
        pair.settle();
        assert!(pair.events.contains(&REGISTERED), "{:?}", pair.events);
    }
    let server = server(&mut pair);
    assert_eq!((server.handshakes, server.refused), (1, 0));
    assert_eq!(server.paths, ["rd"; 21]);
}

#[test]
fn numbers_are_reserved_before_they_run_out() {
    let mut pair = registered();
    let before = pair.board.flash.steps();
    for id in 0..2_500u16 {
        let mut request = REQUEST;
        request[2..4].copy_from_slice(&id.to_be_bytes());
        let record = server(&mut pair).seal(ContentType::ApplicationData, &request);
        deliver(&mut pair, &record);
    }
    assert_eq!(pair.sent, 3 + 2_500);
    let written = pair.board.flash.steps() - before;
    assert!((20..200).contains(&written), "{written} units");
    reset(&mut pair);
    pair.settle();
    let server = server(&mut pair);
    assert_eq!((server.handshakes, server.refused), (1, 0));
}

#[test]
fn what_came_before_a_reset_is_not_taken_again() {
    let mut pair = registered();
    let old: Vec<_> = (0..3u8)
        .map(|id| {
            let mut request = REQUEST;
            request[3] = id;
            server(&mut pair).seal(ContentType::ApplicationData, &request)
        })
        .collect();
    let sent = pair.sent;
    deliver(&mut pair, &old[0]);
    deliver(&mut pair, &old[2]);
    assert_eq!(pair.sent, sent + 2);

    let away = pair.server.take();
    reset(&mut pair);
    pair.settle();
    let sent = pair.sent;
    for record in &old {
        deliver(&mut pair, record);
    }
    assert_eq!(pair.sent, sent, "nothing is known to be new");

    pair.server = away;
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    let sent = pair.sent;
    for record in &old {
        deliver(&mut pair, record);
    }
    assert_eq!(pair.sent, sent, "nothing older than the answer");
    let fresh = server(&mut pair).seal(ContentType::ApplicationData, &REQUEST);
    deliver(&mut pair, &fresh);
    assert_eq!(pair.sent, sent + 1);
    let server = server(&mut pair);
    assert_eq!((server.handshakes, server.refused), (1, 0));
}

#[test]
fn a_server_that_has_forgotten_it_is_asked_for_another() {
    let mut pair = registered();
    pair.server = Some(Server::new());
    reset(&mut pair);
    let start = pair.now.mono;
    pair.settle();
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    let took = pair.now.mono - start;
    assert!((10_000..25_000).contains(&took), "{took} ms");
    assert_eq!(server(&mut pair).paths, ["rd"]);
    // That one is kept as well.
    reset(&mut pair);
    pair.settle();
    assert_eq!(server(&mut pair).handshakes, 1);
    assert_eq!(server(&mut pair).paths, ["rd"; 2]);
}

#[test]
fn a_server_that_is_away_for_long() {
    let mut pair = registered();
    let away = pair.server.take();
    reset(&mut pair);
    pair.settle();
    pair.wait_until(|p| p.now.mono > 400_000);
    pair.server = away;
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    assert_eq!(server(&mut pair).refused, 0);
}

#[test]
fn another_account_does_not_go_on_with_it() {
    let others = [
        SecureFactory {
            identity: b"device-2",
            ..FACTORY
        },
        SecureFactory {
            key: b"another key",
            ..FACTORY
        },
        SecureFactory {
            uri: "coaps://10.0.0.2:5684",
            ..FACTORY
        },
    ];
    for other in others {
        let mut pair = registered();
        pair.board.factory = Factory::SecureServer(other);
        reset(&mut pair);
        let mut first = [0; 1300];
        let output = pair.client.poll(pair.now, &mut first, &mut pair.board);
        assert!(
            matches!(output, Some(Output::Transmit { .. })),
            "{output:?}"
        );
        // A record with a handshake message, a ClientHello.
        assert_eq!((first[0], first[13]), (22, 1));
    }
}

#[test]
fn no_number_is_used_twice_wherever_the_power_fails() {
    let mut cuts = 0;
    for n in 0.. {
        let mut pair = Pair::new(Some(Server::new()));
        pair.board.flash.cut_after(n);
        pair.settle();
        let cut = pair.board.flash.is_dead();
        for _ in 0..3 {
            reset(&mut pair);
            pair.board.flash.cut_after(n);
            pair.settle();
        }
        reset(&mut pair);
        pair.settle();
        pair.wait_until(|p| p.events.contains(&REGISTERED));
        assert_eq!(server(&mut pair).refused, 0, "cut {n}");
        assert_eq!(pair.board.flash.misuse(), None);
        cuts += u32::from(cut);
        if !cut {
            break;
        }
    }
    assert!(cuts > 20, "{cuts} cuts");
}

#[test]
fn a_flash_that_takes_nothing_does_not_keep_the_device_away() {
    let mut pair = Pair::new(Some(Server::new()));
    pair.broken = true;
    pair.settle();
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    reset(&mut pair);
    pair.settle();
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    let server = server(&mut pair);
    assert_eq!(server.refused, 0);
    assert!(server.handshakes <= 4, "{}", server.handshakes);
}

#[test]
fn a_flash_that_fails_later_costs_a_handshake_and_no_number() {
    let mut pair = registered();
    pair.broken = true;
    reset(&mut pair);
    pair.settle();
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    pair.broken = false;
    reset(&mut pair);
    pair.settle();
    pair.wait_until(|p| p.events.contains(&REGISTERED));
    assert_eq!(server(&mut pair).refused, 0);
}
