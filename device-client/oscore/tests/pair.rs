//! Two ends: requests, notifications, blocks, restarts and new keys.

mod common;

use common::{End, ends, hex, master, message, parse, request, response};
use tinsmith_coap::{Block, Code, MessageType, OptionNumber, Szx};
use tinsmith_oscore::{Opened, OscoreOption, Refusal, SealError, Start};

const R1: [u8; 8] = *b"fresh r1";

/// A request that is answered.
fn exchange(client: &mut End, server: &mut End, id: u16) {
    let plain = request(id, Code::GET, &[], b"");
    assert_eq!(server.take(&client.seal(&plain)), plain);
    let plain = response(id, Code::CONTENT, &[], b"value");
    assert_eq!(client.take(&server.seal(&plain)), plain);
}

#[test]
fn everything_but_the_host_is_sealed() {
    let (mut client, mut server) = ends(Start::Fresh);
    let options: [(OptionNumber, &[u8]); 8] = [
        (OptionNumber::IF_MATCH, b"tag"),
        (OptionNumber::URI_HOST, b"example"),
        (OptionNumber::URI_PORT, &[9]),
        (OptionNumber::CONTENT_FORMAT, &[60]),
        (OptionNumber::URI_QUERY, b"a=b"),
        (OptionNumber::ACCEPT, &[110]),
        (OptionNumber(2049), b"not known"),
        (OptionNumber::REQUEST_TAG, b"t"),
    ];
    let plain = request(1, Code::PUT, &options, &[0xff; 700]);
    let sealed = client.seal(&plain);
    let outer = parse(&sealed);
    let seen: Vec<u16> = outer.options().map(|o| o.number.0).collect();
    assert_eq!((outer.code(), seen), (Code::POST, vec![3, 7, 9]));
    assert_eq!(server.take(&sealed), plain);
    let plain = response(1, Code::NOT_FOUND, &[], b"");
    let sealed = server.seal(&plain);
    assert_eq!(parse(&sealed).code(), Code::CHANGED);
    assert_eq!(client.take(&sealed), plain);
}

#[test]
fn both_ends_ask() {
    let (mut one, mut other) = ends(Start::Fresh);
    exchange(&mut one, &mut other, 1);
    exchange(&mut other, &mut one, 2);
    exchange(&mut one, &mut other, 3);
}

#[test]
fn what_has_no_code_goes_as_it_is() {
    let (mut client, mut server) = ends(Start::Fresh);
    for empty in ["40001234", "60001234", "70001234"] {
        let empty = hex(empty);
        assert_eq!(client.seal(&empty), empty);
        assert_eq!(server.take(&empty), empty);
    }
}

#[test]
fn what_is_sent_again_is_the_same() {
    let (mut client, mut server) = ends(Start::Fresh);
    let plain = request(1, Code::POST, &[], b"once");
    let sealed = client.seal(&plain);
    assert_eq!(client.seal(&plain), sealed);
    server.take(&sealed);
    let (again, opened) = server.open(&sealed);
    assert!(again.repeated);
    assert_eq!(opened, plain);
    let answer = response(1, Code::CHANGED, &[], b"");
    let (first, second) = (server.seal(&answer), server.seal(&answer));
    assert_ne!(first, second, "no nonce is used twice");
    assert_eq!(client.take(&second), answer);
    assert!(client.open(&first).0.repeated);
    // With another content it is another message, whatever its id.
    let other = request(1, Code::POST, &[], b"ence");
    let sealed_other = client.seal(&other);
    assert_ne!(
        sealed_other[..sealed.len() - 13],
        sealed[..sealed.len() - 13]
    );
    assert_eq!(server.take(&sealed_other), other);
}

#[test]
fn an_old_request_is_refused() {
    let (mut client, mut server) = ends(Start::Fresh);
    let old = client.seal(&request(1, Code::GET, &[], b""));
    let late = client.seal(&request(2, Code::GET, &[], b""));
    for id in 3..34 {
        server.take(&client.seal(&request(id, Code::GET, &[], b"")));
    }
    server.take(&late);
    let (why, answer) = server.answers(&old);
    assert_eq!(why, Some(Refusal::Replayed));
    let answer = parse(&answer);
    assert_eq!(answer.code(), Code::UNAUTHORIZED);
    assert_eq!(answer.uint(OptionNumber::MAX_AGE), Some(0));
    assert_eq!(answer.payload(), b"Replay detected");
    assert_eq!(answer.message_type(), MessageType::Acknowledgement);
}

#[test]
fn notifications_come_in_the_order_of_their_numbers() {
    let (mut client, mut server) = ends(Start::Fresh);
    let plain = request(1, Code::GET, &[(OptionNumber::OBSERVE, &[])], b"");
    let sealed = client.seal(&plain);
    assert_eq!(parse(&sealed).code(), Code::FETCH);
    assert_eq!(parse(&sealed).observe(), Some(0));
    assert_eq!(server.take(&sealed), plain);
    let first = response(1, Code::CONTENT, &[(OptionNumber::OBSERVE, &[5])], b"1");
    let first = server.seal(&first);
    assert_eq!(parse(&first).code(), Code::CONTENT);
    let notify = |server: &mut End, order: u8, id: u16| {
        let mut out = [0; 100];
        let kind = MessageType::Confirmable;
        let token = common::token(1);
        let made = tinsmith_coap::Builder::new(&mut out, kind, Code::CONTENT, id, token);
        let mut made = made.expect("room");
        made.option(OptionNumber::OBSERVE, &[order]).expect("room");
        made.payload(b"n").expect("room");
        server.seal(made.as_bytes())
    };
    let [second, third, fourth] = [6, 7, 8].map(|order| notify(&mut server, order, order.into()));
    let mut seen = Vec::new();
    for sealed in [&first, &second, &fourth] {
        seen.push(
            parse(&client.take(sealed))
                .observe()
                .expect("a notification"),
        );
    }
    assert_eq!(seen, [1, 2, 4], "the order is that of the Partial IVs");
    assert!(client.open(&fourth).0.repeated);
    for old in [&first, &second, &third] {
        let dropped = Opened::Dropped(Refusal::Replayed);
        assert_eq!(client.open_any(old).0, dropped);
    }
    // The last one ends the observation with an error.
    let gone = response(1, Code::NOT_FOUND, &[], b"");
    client.take(&server.seal(&gone));
}

#[test]
fn who_did_not_observe_gets_no_notification() {
    let (mut client, mut server) = ends(Start::Fresh);
    server.take(&client.seal(&request(1, Code::GET, &[], b"")));
    let notification = response(1, Code::CONTENT, &[(OptionNumber::OBSERVE, &[5])], b"1");
    let (opened, _) = client.open_any(&server.seal(&notification));
    assert_eq!(opened, Opened::Dropped(Refusal::Unasked));
}

#[test]
fn blocks_are_sealed_one_by_one_and_those_of_proxies_refused() {
    let (mut client, mut server) = ends(Start::Fresh);
    for num in 0..3 {
        let block = Block::new(num, num < 2, Szx::MAX).expect("small");
        let value = block.value().to_be_bytes();
        let more: [(OptionNumber, &[u8]); 1] = [(OptionNumber::BLOCK1, &value[2..])];
        let plain = request(num as u16, Code::PUT, &more, &[num as u8; 1024]);
        let sealed = client.seal(&plain);
        assert_eq!(parse(&sealed).option(OptionNumber::BLOCK1), None);
        let opened = server.take(&sealed);
        assert_eq!(parse(&opened).block1(), Ok(Some(block)));
        let code = if block.more {
            Code::CONTINUE
        } else {
            Code::CHANGED
        };
        let plain = response(num as u16, code, &more, b"");
        assert_eq!(client.take(&server.seal(&plain)), plain);
    }
    let sealed = client.seal(&request(9, Code::GET, &[], b""));
    let inner = parse(&sealed);
    let oscore = inner.option(OptionNumber::OSCORE).expect("there");
    for (number, value) in [
        (OptionNumber::BLOCK1, &[0x0e][..]),
        (OptionNumber::PROXY_SCHEME, b"coap"),
    ] {
        let options = [(OptionNumber::OSCORE, oscore), (number, value)];
        let kind = MessageType::Confirmable;
        let cut = message(kind, 9, Code::POST, &options, inner.payload());
        let (why, answer) = server.answers(&cut);
        assert_eq!(why, Some(Refusal::Proxy));
        assert_eq!(parse(&answer).code(), Code::PROXYING_NOT_SUPPORTED);
    }
}

#[test]
fn errors_are_plain_and_say_why() {
    let (mut client, mut server) = ends(Start::Fresh);
    let sealed = client.seal(&request(1, Code::GET, &[], b""));
    let outer = parse(&sealed);
    let with = |value: &[u8], payload: &[u8]| {
        let options = [(OptionNumber::OSCORE, value)];
        message(MessageType::Confirmable, 1, Code::POST, &options, payload)
    };
    let mut changed = outer.payload().to_vec();
    changed[0] ^= 1;
    let cases = [
        (
            with(&[0x20], outer.payload()),
            Refusal::Cose,
            Code::BAD_OPTION,
        ),
        (with(&[], outer.payload()), Refusal::Cose, Code::BAD_OPTION),
        (
            with(&[0x09, 0, 2], outer.payload()),
            Refusal::NoContext,
            Code::UNAUTHORIZED,
        ),
        (
            with(&[0x19, 0, 1, 7], outer.payload()),
            Refusal::NoContext,
            Code::UNAUTHORIZED,
        ),
        (
            with(&[0x09, 0], &changed),
            Refusal::Inauthentic,
            Code::BAD_REQUEST,
        ),
        (
            with(&[0x09, 0], b""),
            Refusal::Inauthentic,
            Code::BAD_REQUEST,
        ),
    ];
    for (datagram, expected, code) in cases {
        let (why, answer) = server.answers(&datagram);
        assert_eq!(why, Some(expected));
        let answer = parse(&answer);
        assert_eq!(
            (answer.code(), answer.option(OptionNumber::OSCORE)),
            (code, None)
        );
        assert_eq!(answer.uint(OptionNumber::MAX_AGE), Some(0));
    }
    let plain = request(1, Code::GET, &[], b"");
    assert_eq!(server.open_any(&plain).0, Opened::Unprotected);
    // The request that came first is still good.
    server.take(&sealed);
}

#[test]
fn numbers_are_used_only_when_they_are_durable() {
    let mut end = End {
        peer: tinsmith_oscore::Peer::new(master(b"", b"\x01"), Start::Fresh).expect("good"),
        random: 1,
    };
    let plain = |id| request(id, Code::GET, &[], b"");
    assert_eq!(end.try_seal(&plain(1)), Err(SealError::Unreserved));
    let reservation = end.peer.reserve(2);
    assert_eq!(end.try_seal(&plain(1)), Err(SealError::Unreserved));
    end.peer.confirm_reserved(reservation);
    end.seal(&plain(1));
    end.seal(&plain(2));
    assert_eq!(end.try_seal(&plain(3)), Err(SealError::Unreserved));
    // After a restart numbers go on at the mark, not where they were.
    end.restart();
    let sealed = end.seal(&plain(3));
    let option = parse(&sealed)
        .option(OptionNumber::OSCORE)
        .map(OscoreOption::decode);
    assert_eq!(option.flatten().and_then(|o| o.partial_iv), Some(2));
}

#[test]
fn after_a_restart_the_first_request_must_be_fresh() {
    let (mut client, mut server) = ends(Start::Fresh);
    exchange(&mut client, &mut server, 1);
    let recorded = client.seal(&request(2, Code::POST, &[], b"again?"));
    server.take(&recorded);
    server.restart();
    // The attacker's copy gets the challenge, which is sealed.
    let (why, _) = server.answers(&recorded);
    assert_eq!(why, None);
    let plain = request(3, Code::POST, &[], b"fresh");
    let (why, challenge) = server.answers(&client.seal(&plain));
    assert_eq!(why, None);
    let (message, opened) = client.open(&challenge);
    assert!(message.again);
    assert_eq!(parse(&opened).code(), Code::UNAUTHORIZED);
    let plain = request(4, Code::POST, &[], b"fresh");
    let repeated = client.seal(&plain);
    let opened = server.take(&repeated);
    let opened = parse(&opened);
    assert_eq!(opened.payload(), b"fresh");
    assert_eq!(opened.option(OptionNumber::ECHO).map(<[u8]>::len), Some(8));
    let plain = response(4, Code::CHANGED, &[], b"");
    client.take(&server.seal(&plain));
    // All before it is refused, all after it is good, and nothing has an Echo any more.
    assert!(server.open(&recorded).0.repeated);
    let plain = request(5, Code::GET, &[], b"");
    assert_eq!(server.take(&client.seal(&plain)), plain);
}

#[test]
fn new_keys_at_the_wish_of_the_client() {
    let mut client = End::new(master(b"", b"\x01"), Start::Rederive(R1));
    let mut server = End::new(master(b"\x01", b""), Start::Lost);
    assert!(!client.peer.is_settled());
    let plain = |id| request(id, Code::POST, &[], b"register");
    let first = client.seal(&plain(1));
    assert_eq!(first, client.seal(&plain(1)));
    // Each copy of it gets a part of new keys; one of them is used.
    let (_, unused) = server.answers(&first);
    let (_, offer) = server.answers(&first);
    assert_ne!(unused, offer);
    let (message, opened) = client.open(&offer);
    assert!(message.again);
    assert_eq!(parse(&opened).code(), Code::UNAUTHORIZED);
    assert_eq!(
        client.open_any(&unused).0,
        Opened::Dropped(Refusal::Unasked)
    );
    let third = client.seal(&plain(2));
    assert_eq!(server.take(&third), plain(2));
    let answer = response(2, Code::CREATED, &[], b"");
    assert_eq!(client.take(&server.seal(&answer)), answer);
    assert!(client.peer.is_settled());
    // Played again, neither has an effect.
    assert!(server.open(&third).0.repeated);
    server.answers(&first);
    let reservation = server.peer.reserve(10);
    server.peer.confirm_reserved(reservation);
    exchange(&mut server, &mut client, 3);
    exchange(&mut client, &mut server, 4);
}

#[test]
fn new_keys_because_the_server_knows_nothing() {
    let mut client = End::new(master(b"", b"\x01"), Start::Rederive(R1));
    let mut server = End::new(master(b"\x01", b""), Start::Lost);
    // Twice, so that the ID Context of the second run is one of the first.
    for round in 0..2 {
        let id = 10 * round + 1;
        let (_, offer) = server.answers(&client.seal(&request(id, Code::GET, &[], b"")));
        assert!(client.open(&offer).0.again);
        exchange(&mut client, &mut server, id + 1);
        server = End::new(master(b"\x01", b""), Start::Lost);
    }
    // Keys of the first kind, without ID Context, are given up as well.
    let (mut client, _) = ends(Start::Fresh);
    let (_, offer) = server.answers(&client.seal(&request(1, Code::GET, &[], b"")));
    assert!(client.open(&offer).0.again);
    let reservation = client.peer.reserve(10);
    client.peer.confirm_reserved(reservation);
    exchange(&mut client, &mut server, 2);
}

#[test]
fn a_server_that_kept_its_context_needs_no_new_keys() {
    let mut client = End::new(master(b"", b"\x01"), Start::Rederive(R1));
    let mut server = End::new(master(b"\x01", b""), Start::Lost);
    let (_, offer) = server.answers(&client.seal(&request(1, Code::GET, &[], b"")));
    client.open(&offer);
    exchange(&mut client, &mut server, 2);
    let reservation = server.peer.reserve(10);
    let stored = server.stored();
    server.peer.confirm_reserved(reservation);
    assert!(stored.len() <= tinsmith_oscore::MAX_ENCODED);
    server.restart();
    // It asks at once, and what it is asked is first shown to be fresh.
    exchange(&mut server, &mut client, 3);
    let (why, challenge) = server.answers(&client.seal(&request(4, Code::GET, &[], b"")));
    assert_eq!(why, None);
    assert!(client.open(&challenge).0.again);
    let sealed = client.seal(&request(5, Code::GET, &[], b""));
    server.take(&sealed);
}

#[test]
fn the_last_request_of_a_run_can_not_be_used_again() {
    let mut client = End::new(master(b"", b"\x01"), Start::Rederive(R1));
    let mut server = End::new(master(b"\x01", b""), Start::Lost);
    let (_, offer) = server.answers(&client.seal(&request(1, Code::GET, &[], b"")));
    client.open(&offer);
    let third = client.seal(&request(2, Code::POST, &[], b"effect"));
    server.take(&third);
    // Another run is begun and ended; the old request is but the first of a run.
    client.peer.rederive(*b"other r1");
    let (_, offer) = server.answers(&client.seal(&request(3, Code::GET, &[], b"")));
    client.open(&offer);
    server.take(&client.seal(&request(4, Code::GET, &[], b"")));
    let (why, answer) = server.answers(&third);
    assert_eq!(why, None);
    assert_eq!(
        client.open_any(&answer).0,
        Opened::Dropped(Refusal::Unasked)
    );
}

#[test]
fn a_reservation_is_for_its_keys() {
    let mut client = End::new(master(b"", b"\x01"), Start::Rederive(R1));
    let (_, mut server) = ends(Start::Fresh);
    let reservation = server.peer.reserve(5_000);
    let generation = server.peer.generation();
    let (_, offer) = server.answers(&client.seal(&request(1, Code::GET, &[], b"")));
    client.open(&offer);
    server.take(&client.seal(&request(2, Code::GET, &[], b"")));
    assert_ne!(server.peer.generation(), generation);
    server.peer.confirm_reserved(reservation);
    assert_eq!(server.peer.numbers_left(), 0);
}

#[test]
fn stored_contexts_of_others_are_refused() {
    use tinsmith_oscore::{Peer, StoredError};
    let end = End::new(
        master(b"", b"\x01").with_context(b"ctx").expect("good"),
        Start::Fresh,
    );
    let stored = end.stored();
    let new = |bytes: &[u8]| {
        let peer: Result<Peer, _> = Peer::new(master(b"", b"\x01"), Start::Stored(bytes));
        peer.map(|_| ())
    };
    assert_eq!(new(&stored), Err(StoredError::Other));
    assert_eq!(new(&[2]), Err(StoredError::Version(2)));
    for len in 0..stored.len() {
        assert_eq!(new(&stored[..len]), Err(StoredError::Malformed), "{len}");
    }
}

#[test]
fn an_observation_that_ends_gives_way_to_others() {
    let (mut client, mut server) = ends(Start::Fresh);
    let observe: [(OptionNumber, &[u8]); 1] = [(OptionNumber::OBSERVE, &[])];
    let mut ask = |server: &mut End, id: u16| {
        let plain = request(id, Code::GET, &observe, b"");
        server.take(&client.seal(&plain));
    };
    let told = [(OptionNumber::OBSERVE, &[5][..])];
    ask(&mut server, 1);
    server.seal(&response(1, Code::CONTENT, &told, b""));
    // Twice as many as there is room for: refused, ended with an error, or given up by this end.
    for id in 2..18 {
        ask(&mut server, id);
        match id % 3 {
            0 => drop(server.seal(&response(id, Code::NOT_FOUND, &[], b""))),
            1 => {
                server.seal(&response(id, Code::CONTENT, &told, b""));
                server.seal(&response(id, Code::NOT_FOUND, &[], b""));
            }
            _ => {
                server.seal(&response(id, Code::CONTENT, &told, b""));
                server.peer.forget(common::token(id as u8));
            }
        }
    }
    // The first one goes on.
    server.seal(&response(1, Code::CONTENT, &told, b"later"));
    let last = response(2, Code::CONTENT, &told, b"");
    assert_eq!(server.try_seal(&last), Err(SealError::UnknownRequest));
}
