//! One endpoint, datagram by datagram: RFC 7252 §4 and §5, RFC 7641 §3.6.
#![allow(clippy::unwrap_used)]

use tinsmith_coap::{
    BuildError, Builder, Code, Dropped, Endpoint, FixedBuffer, Instant, Message, MessageType,
    Numbering, Output, Parameters, ParseError, Received, Reliability, Request, SendError, Sent,
    Token, stateless,
};

type Peer = Endpoint<FixedBuffer<64>, FixedBuffer<16>, 2, 3>;

const NO_JITTER: Parameters = Parameters {
    ack_random_factor_percent: 100,
    ..Parameters::RFC7252
};
const NON: Reliability = Reliability::NonConfirmable;
const CON: Reliability = Reliability::Confirmable;

fn peer() -> Peer {
    Peer::new(NO_JITTER, Numbering::ALL, 1)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn token(byte: u8) -> Token {
    Token::new(&[byte]).unwrap()
}

fn message(kind: MessageType, code: Code, id: u16, of: u8, payload: &[u8]) -> Vec<u8> {
    let mut buf = [0; 200];
    let mut builder = Builder::new(&mut buf, kind, code, id, token(of)).unwrap();
    builder.payload(payload).unwrap();
    builder.as_bytes().to_vec()
}

fn con(code: Code, id: u16, of: u8) -> Vec<u8> {
    message(MessageType::Confirmable, code, id, of, b"")
}

fn get(of: u8, reliability: Reliability) -> Request {
    Request {
        code: Code::GET,
        token: token(of),
        reliability,
        response_timeout_ms: None,
    }
}

fn nothing(_: &mut Builder<'_>) -> Result<(), BuildError> {
    Ok(())
}

fn start(peer: &mut Peer, now: u64, request: Request) -> Result<Vec<u8>, SendError> {
    let mut out = [0; 200];
    peer.start_request(at(now), request, &mut out, nothing)
        .map(|len| out[..len].to_vec())
}

fn respond(peer: &mut Peer, now: u64, received: Received<'_>, payload: &[u8]) -> Vec<u8> {
    let Received::Request { handle, .. } = received else {
        panic!("{received:?}")
    };
    let mut out = [0; 200];
    let respond = peer.respond(at(now), handle, Code::CONTENT, &mut out, |b| {
        b.payload(payload).map(|_| ())
    });
    out[..respond.unwrap().len].to_vec()
}

fn poll(peer: &mut Peer, now: u64) -> Option<Vec<u8>> {
    let mut out = [0; 200];
    match peer.poll(at(now), &mut out)? {
        Output::Transmit(len) => Some(out[..len].to_vec()),
        Output::TimedOut(sent) => panic!("{sent:?} timed out"),
    }
}

fn timed_out(peer: &mut Peer, now: u64) -> Sent {
    match peer.poll(at(now), &mut [0; 200]) {
        Some(Output::TimedOut(sent)) => sent,
        other => panic!("{other:?}"),
    }
}

fn id(datagram: &[u8]) -> u16 {
    Message::parse(datagram).unwrap().message_id()
}

fn empty(kind: MessageType, id: u16) -> Vec<u8> {
    let mut buf = [0; 4];
    let builder = Builder::new(&mut buf, kind, Code::EMPTY, id, Token::EMPTY).unwrap();
    builder.as_bytes().to_vec()
}

fn ack(id: u16) -> Vec<u8> {
    empty(MessageType::Acknowledgement, id)
}

#[test]
fn retransmits_with_back_off_and_gives_up() {
    let mut peer = peer();
    let datagram = start(&mut peer, 0, get(1, CON)).unwrap();
    for due in [2_000, 6_000, 14_000, 30_000] {
        assert_eq!(peer.next_deadline(), Some(at(due)));
        assert_eq!(poll(&mut peer, due - 1), None);
        assert_eq!(poll(&mut peer, due).unwrap(), datagram);
        assert_eq!(poll(&mut peer, due), None);
    }
    assert_eq!(peer.next_deadline(), Some(at(62_000)));
    assert_eq!(timed_out(&mut peer, 62_000), Sent::Request(token(1)));
    assert_eq!(peer.next_deadline(), None);
    assert!(peer.can_request() && peer.is_idle(at(62_000)));
}

#[test]
fn a_peer_that_asks_is_there_and_gets_what_waits() {
    let mut peer = peer();
    let datagram = start(&mut peer, 0, get(1, CON)).unwrap();
    let ask = |peer: &mut Peer, now: u64, id: u16| {
        let asks = con(Code::POST, id, 9);
        let received = peer.handle(at(now), &asks);
        respond(peer, now, received, b"");
    };
    // Too soon after it was sent.
    ask(&mut peer, 1_999, 1);
    assert_eq!(poll(&mut peer, 1_999), None);
    for due in [2_000, 6_000] {
        assert_eq!(poll(&mut peer, due).unwrap(), datagram);
    }
    // The next would be at 14,000.
    ask(&mut peer, 9_000, 2);
    assert_eq!(poll(&mut peer, 9_000).unwrap(), datagram);
    // A duplicate is no news; the back-off has begun anew.
    let again = con(Code::POST, 2, 9);
    let received = peer.handle(at(10_999), &again);
    assert!(matches!(received, Received::Nothing(Dropped::Duplicate)));
    assert_ne!(poll(&mut peer, 10_999), Some(datagram.clone()));
    assert_eq!(poll(&mut peer, 10_999), None);
    assert_eq!(poll(&mut peer, 11_000).unwrap(), datagram);
    // That was the last; one more for who asks again, and then the end.
    assert_eq!(peer.next_deadline(), Some(at(15_000)));
    ask(&mut peer, 14_000, 3);
    assert_eq!(poll(&mut peer, 14_000).unwrap(), datagram);
    assert_eq!(poll(&mut peer, 15_999), None);
    assert_eq!(timed_out(&mut peer, 16_000), Sent::Request(token(1)));
}

#[test]
fn first_timeout_is_jittered() {
    for seed in 0..100 {
        let mut peer = Peer::new(Parameters::RFC7252, Numbering::ALL, seed);
        start(&mut peer, 0, get(1, CON)).unwrap();
        let deadline = peer.next_deadline().unwrap().as_millis();
        assert!((2_000..=3_000).contains(&deadline));
    }
}

#[test]
fn piggybacked_response_ends_the_exchange() {
    let mut peer = peer();
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    let answer = message(
        MessageType::Acknowledgement,
        Code::CONTENT,
        id(&sent),
        1,
        b"x",
    );
    let received = peer.handle(at(5), &answer);
    assert!(matches!(received, Received::Response { token: t, .. } if t == token(1)));
    assert_eq!(peer.next_deadline(), None);
    let again = peer.handle(at(6), &answer);
    assert!(matches!(again, Received::Nothing(Dropped::Stale)));
}

#[test]
fn response_with_another_token_is_not_ours() {
    let mut peer = peer();
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    let answer = message(
        MessageType::Acknowledgement,
        Code::CONTENT,
        id(&sent),
        2,
        b"x",
    );
    let received = peer.handle(at(5), &answer);
    assert!(matches!(received, Received::Nothing(Dropped::WrongToken)));
    assert_eq!(poll(&mut peer, 2_000).unwrap(), sent);
}

#[test]
fn separate_response_is_acknowledged_once_and_again() {
    let mut peer = peer();
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    let acknowledgement = ack(id(&sent));
    let received = peer.handle(at(5), &acknowledgement);
    assert!(matches!(received, Received::Acknowledged(Sent::Request(t)) if t == token(1)));
    assert_eq!(peer.next_deadline(), Some(at(60_005)));
    let answer = con(Code::CONTENT, 700, 1);
    assert!(matches!(
        peer.handle(at(900), &answer),
        Received::Response { .. }
    ));
    assert_eq!(poll(&mut peer, 900).unwrap(), ack(700));
    let again = peer.handle(at(3_000), &answer);
    assert!(matches!(again, Received::Nothing(Dropped::Duplicate)));
    assert_eq!(poll(&mut peer, 3_000).unwrap(), ack(700));
    assert_eq!(peer.next_deadline(), None);
}

#[test]
fn response_may_overtake_the_acknowledgement() {
    let mut peer = peer();
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    let answer = message(MessageType::NonConfirmable, Code::CONTENT, 700, 1, b"");
    assert!(matches!(
        peer.handle(at(9), &answer),
        Received::Response { .. }
    ));
    assert_eq!(poll(&mut peer, 2_000), None);
    let acknowledgement = ack(id(&sent));
    let late = peer.handle(at(10), &acknowledgement);
    assert!(matches!(late, Received::Nothing(Dropped::Stale)));
}

#[test]
fn acknowledged_request_without_response_times_out() {
    let mut peer = peer();
    let request = Request {
        response_timeout_ms: Some(500),
        ..get(1, CON)
    };
    let sent = start(&mut peer, 0, request).unwrap();
    peer.handle(at(5), &ack(id(&sent)));
    assert_eq!(poll(&mut peer, 504), None);
    assert_eq!(timed_out(&mut peer, 505), Sent::Request(token(1)));
    let late = con(Code::CONTENT, 700, 1);
    let Received::Notification { handle, .. } = peer.handle(at(600), &late) else {
        panic!()
    };
    let mut out = [0; 4];
    assert_eq!(peer.reject(at(600), handle, &mut out), Some(4));
    assert_eq!(out[..], empty(MessageType::Reset, 700));
    peer.handle(at(700), &late);
    assert_eq!(
        poll(&mut peer, 700).unwrap(),
        empty(MessageType::Reset, 700)
    );
}

#[test]
fn one_confirmable_request_at_a_time() {
    let mut peer = peer();
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    assert_eq!(start(&mut peer, 0, get(1, CON)), Err(SendError::TokenInUse));
    assert_eq!(start(&mut peer, 0, get(2, CON)), Err(SendError::Busy));
    assert_eq!(peer.ping(at(0), &mut [0; 4]), Err(SendError::Busy));
    peer.handle(at(1), &ack(id(&sent)));
    start(&mut peer, 1, get(2, CON)).unwrap();
    assert_eq!(
        start(&mut peer, 1, get(3, NON)),
        Err(SendError::Busy),
        "table is full"
    );
    assert!(peer.cancel(token(2)));
    assert!(!peer.cancel(token(2)));
    assert_eq!(poll(&mut peer, 30_000), None);
    start(&mut peer, 2, get(3, NON)).unwrap();
    assert_eq!(peer.next_deadline(), Some(at(60_001)));
}

#[test]
fn failed_sends_change_nothing() {
    let mut peer = peer();
    let mut out = [0; 200];
    let large = peer.start_request(at(0), get(1, CON), &mut out, |b| {
        b.payload(&[0; 100]).map(|_| ())
    });
    assert_eq!(large, Err(SendError::TooLarge));
    let full = peer.start_request(at(0), get(1, CON), &mut [0; 4], nothing);
    assert_eq!(full, Err(SendError::Build(BuildError::Full)));
    assert!(peer.is_idle(at(0)));
    start(&mut peer, 0, get(1, CON)).unwrap();
}

#[test]
fn duplicate_request_gets_the_kept_reply() {
    let mut peer = peer();
    let request = con(Code::POST, 9, 1);
    let received = peer.handle(at(0), &request);
    let waiting = peer.clone().handle(at(1), &request);
    assert!(matches!(waiting, Received::Nothing(Dropped::Duplicate)));
    let answer = respond(&mut peer, 2, received, b"done");
    assert_eq!(
        Message::parse(&answer).unwrap().message_type(),
        MessageType::Acknowledgement
    );
    assert_eq!(id(&answer), 9);
    let again = peer.handle(at(2_000), &request);
    assert!(matches!(again, Received::Nothing(Dropped::Duplicate)));
    assert_eq!(poll(&mut peer, 2_000).unwrap(), answer);
    assert_eq!(poll(&mut peer, 2_000), None);
    let forgotten = peer.handle(at(247_000), &request);
    assert!(matches!(forgotten, Received::Request { .. }));
}

/// What a layer below knows to be a replay is never delivered, unless it only reads.
#[test]
fn a_repeated_message_is_answered_again_and_nothing_more() {
    let mut peer = peer();
    let request = con(Code::POST, 1, 1);
    let repeated = |peer: &mut Peer, now, datagram: &[u8]| {
        let message = Message::parse(datagram).unwrap();
        let received = peer.handle_repeated(at(now), message);
        matches!(received, Received::Request { .. })
    };
    assert!(!repeated(&mut peer, 0, &request));
    assert_eq!(poll(&mut peer, 0), None, "it was never here");
    let received = peer.handle(at(0), &request);
    let reply = respond(&mut peer, 0, received, b"");
    assert!(!repeated(&mut peer, 1, &request));
    assert_eq!(poll(&mut peer, 1), Some(reply));
    assert!(!repeated(&mut peer, 400_000, &request));
    assert_eq!(poll(&mut peer, 400_000), None, "it is forgotten");
    for (code, read) in [(Code::GET, true), (Code::PUT, false)] {
        let request = con(code, 2, 2);
        let received = peer.handle(at(500_000), &request);
        respond(&mut peer, 500_000, received, &[7; 40]);
        assert_eq!(repeated(&mut peer, 500_001, &request), read, "{code}");
    }
}

#[test]
fn reply_too_large_to_keep_is_made_again_if_that_is_harmless() {
    for (code, harmless) in [(Code::GET, true), (Code::POST, false)] {
        let mut peer = peer();
        let request = con(code, 9, 1);
        let received = peer.handle(at(0), &request);
        respond(&mut peer, 0, received, &[0; 40]);
        let again = peer.handle(at(10), &request);
        assert_eq!(matches!(again, Received::Request { .. }), harmless);
        if harmless {
            respond(&mut peer, 10, again, &[0; 40]);
        }
    }
}

#[test]
fn same_id_with_another_content_is_another_message() {
    let mut peer = peer();
    let first = con(Code::POST, 9, 1);
    let received = peer.handle(at(0), &first);
    respond(&mut peer, 0, received, b"");
    assert!(matches!(
        peer.handle(at(1), &con(Code::POST, 9, 2)),
        Received::Request { .. }
    ));
}

#[test]
fn late_answer_is_a_separate_response() {
    let mut peer = peer();
    let request = con(Code::GET, 9, 1);
    let received = peer.handle(at(0), &request);
    assert_eq!(peer.next_deadline(), Some(at(1_000)));
    assert_eq!(poll(&mut peer, 1_000).unwrap(), ack(9));
    peer.handle(at(2_000), &request);
    assert_eq!(poll(&mut peer, 2_000).unwrap(), ack(9));
    let answer = respond(&mut peer, 5_000, received, b"late");
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!(parsed.message_type(), MessageType::Confirmable);
    assert_eq!(parsed.token(), token(1));
    assert_eq!(poll(&mut peer, 7_000).unwrap(), answer);
    let acknowledgement = ack(id(&answer));
    let received = peer.handle(at(7_100), &acknowledgement);
    assert!(matches!(received, Received::Acknowledged(Sent::Response(t)) if t == token(1)));
    assert_eq!(peer.next_deadline(), None);
}

#[test]
fn second_separate_response_waits_for_the_first() {
    let mut peer = peer();
    let mut out = [0; 64];
    let mut handles = Vec::new();
    for number in [1, 2] {
        let request = con(Code::GET, number, number as u8);
        let Received::Request { handle, .. } = peer.handle(at(0), &request) else {
            panic!()
        };
        assert_eq!(peer.defer(at(0), handle, &mut out), Some(4));
        assert_eq!(peer.defer(at(0), handle, &mut out), None);
        handles.push(handle);
    }
    let first = peer
        .respond(at(1), handles[0], Code::CONTENT, &mut out, nothing)
        .unwrap();
    assert!(first.separate);
    let second = peer.respond(at(1), handles[1], Code::CONTENT, &mut out, nothing);
    assert_eq!(second, Err(SendError::Busy));
    peer.handle(at(2), &ack(first.id));
    assert!(
        peer.respond(at(2), handles[1], Code::CONTENT, &mut out, nothing)
            .is_ok()
    );
    let twice = peer.respond(at(2), handles[0], Code::CONTENT, &mut out, nothing);
    assert_eq!(twice, Err(SendError::UnknownRequest));
}

#[test]
fn too_many_open_requests_are_left_to_the_peer() {
    let mut peer = peer();
    let first = con(Code::GET, 1, 1);
    let received = peer.handle(at(0), &first);
    for number in [2, 3] {
        let request = con(Code::GET, number, 1);
        assert!(matches!(
            peer.handle(at(0), &request),
            Received::Request { .. }
        ));
    }
    let fourth = con(Code::GET, 4, 1);
    let refused = peer.handle(at(0), &fourth);
    assert!(matches!(refused, Received::Nothing(Dropped::Overloaded)));
    respond(&mut peer, 1, received, b"");
    assert!(matches!(
        peer.handle(at(2), &fourth),
        Received::Request { .. }
    ));
    let gone = peer.handle(at(247_001), &first);
    assert!(matches!(gone, Received::Request { .. }));
}

#[test]
fn non_confirmable_request_gets_a_non_confirmable_response_once() {
    let mut peer = peer();
    let request = message(MessageType::NonConfirmable, Code::GET, 9, 1, b"");
    let received = peer.handle(at(0), &request);
    assert_eq!(peer.next_deadline(), None, "nothing to acknowledge");
    let answer = respond(&mut peer, 0, received, b"x");
    let parsed = Message::parse(&answer).unwrap();
    assert_eq!(parsed.message_type(), MessageType::NonConfirmable);
    let again = peer.handle(at(1), &request);
    assert!(matches!(again, Received::Nothing(Dropped::Duplicate)));
    assert_eq!(poll(&mut peer, 1), None);
}

#[test]
fn refused_request_is_reset() {
    let mut peer = peer();
    let request = con(Code::GET, 9, 1);
    let Received::Request { handle, .. } = peer.handle(at(0), &request) else {
        panic!()
    };
    let mut out = [0; 4];
    assert_eq!(peer.refuse(at(0), handle, &mut out), Some(4));
    assert_eq!(out[..], empty(MessageType::Reset, 9));
    peer.handle(at(1), &request);
    assert_eq!(poll(&mut peer, 1).unwrap(), out);
}

#[test]
fn resets_name_what_they_are_about() {
    let mut peer = peer();
    let mut out = [0; 64];
    let reset = |id| empty(MessageType::Reset, id);
    let sent = start(&mut peer, 0, get(1, CON)).unwrap();
    let received = reset(id(&sent));
    let received = peer.handle(at(1), &received);
    assert!(matches!(received, Received::Reset(Sent::Request(t)) if t == token(1)));
    let (_, id) = peer
        .notify(at(2), token(2), Code::CONTENT, CON, &mut out, nothing)
        .unwrap();
    let busy = peer.notify(at(2), token(2), Code::CONTENT, CON, &mut out, nothing);
    assert_eq!(busy, Err(SendError::Busy));
    let received = reset(id);
    let received = peer.handle(at(3), &received);
    assert!(matches!(received, Received::Reset(Sent::Notification(t)) if t == token(2)));
    let (_, id) = peer
        .notify(at(4), token(2), Code::CONTENT, NON, &mut out, nothing)
        .unwrap();
    let received = reset(id);
    let received = peer.handle(at(5), &received);
    assert!(matches!(received, Received::Reset(Sent::Other(other)) if other == id));
    assert!(peer.is_idle(at(6)));
}

#[test]
fn notification_is_delivered_once_and_accepted() {
    let mut peer = peer();
    let notification = con(Code::CONTENT, 5, 8);
    let received = peer.handle(at(0), &notification);
    let Received::Notification {
        handle, token: of, ..
    } = received
    else {
        panic!()
    };
    assert_eq!(of, token(8));
    let mut out = [0; 4];
    assert_eq!(peer.accept(at(0), handle, &mut out), Some(4));
    assert_eq!(out[..], ack(5));
    let again = peer.handle(at(1), &notification);
    assert!(matches!(again, Received::Nothing(Dropped::Duplicate)));
    assert_eq!(poll(&mut peer, 1).unwrap(), ack(5));
    let quiet = message(MessageType::NonConfirmable, Code::CONTENT, 6, 8, b"");
    let Received::Notification { handle, .. } = peer.handle(at(2), &quiet) else {
        panic!()
    };
    assert_eq!(peer.accept(at(2), handle, &mut out), None);
}

#[test]
fn pings_are_answered_both_ways() {
    let mut peer = peer();
    let ping = empty(MessageType::Confirmable, 77);
    assert!(matches!(peer.handle(at(0), &ping), Received::Alive));
    assert_eq!(peer.next_deadline(), Some(Instant::ZERO));
    assert_eq!(poll(&mut peer, 0).unwrap(), empty(MessageType::Reset, 77));
    let mut out = [0; 4];
    assert_eq!(peer.ping(at(0), &mut out), Ok(4));
    let pong = empty(MessageType::Reset, id(&out));
    assert!(matches!(peer.handle(at(1), &pong), Received::Alive));
    assert_eq!(peer.next_deadline(), None);
    peer.ping(at(2), &mut out).unwrap();
    // The peer is near: once more, and the first time sooner (RFC 7252 §4.8.1).
    for due in [1_002, 3_002, 7_002, 15_002, 31_002] {
        assert!(poll(&mut peer, due).is_some());
    }
    assert_eq!(timed_out(&mut peer, 63_002), Sent::Ping);
}

#[test]
fn malformed_confirmable_messages_are_reset() {
    let mut peer = peer();
    let received = peer.handle(at(0), b"\x40\x01\x12\x34\xff");
    let error = ParseError::MarkerWithoutPayload;
    assert!(matches!(received, Received::Nothing(Dropped::Malformed(e)) if e == error));
    assert_eq!(
        poll(&mut peer, 0).unwrap(),
        empty(MessageType::Reset, 0x1234)
    );
    for silent in [&b"\x50\x01\x12\x34\xff"[..], b"\x80\x01\x12\x34", b"\x40"] {
        peer.handle(at(0), silent);
        assert_eq!(poll(&mut peer, 0), None);
    }
}

#[test]
fn message_ids_carry_the_prefix_and_count_up() {
    let numbering = Numbering::with_prefix(4, 0xc).unwrap();
    let mut peer = Peer::new(NO_JITTER, numbering, 12_345);
    let mut previous = None;
    for _ in 0..5_000 {
        let sent = start(&mut peer, 0, get(1, CON)).unwrap();
        let id = id(&sent);
        assert_eq!(Numbering::prefix_of(4, id), 0xc);
        if let Some(previous) = previous {
            assert_eq!((id - previous) & 0xfff, 1);
        }
        previous = Some(id & 0xfff);
        peer.cancel(token(1));
    }
}

#[test]
fn stateless_replies() {
    let mut out = [0; 64];
    let request = con(Code::POST, 9, 1);
    let request = Message::parse(&request).unwrap();
    let len = stateless::reply(&request, 1, Code::BAD_REQUEST, &mut out, nothing).unwrap();
    let answer = Message::parse(&out[..len]).unwrap();
    assert_eq!(answer.message_type(), MessageType::Acknowledgement);
    assert_eq!((answer.message_id(), answer.token()), (9, token(1)));
    assert_eq!(stateless::reset(&request)[..], empty(MessageType::Reset, 9));
    let request = message(MessageType::NonConfirmable, Code::POST, 9, 1, b"");
    let request = Message::parse(&request).unwrap();
    let len = stateless::reply(&request, 77, Code::NOT_FOUND, &mut out, nothing).unwrap();
    assert_eq!(id(&out[..len]), 77);
    assert_eq!(
        stateless::refusal(b"\x49\x01\x00\x09"),
        Some([0x70, 0, 0, 9])
    );
    assert_eq!(stateless::refusal(b"\x60\xff\x00\x09"), None);
}

#[test]
fn idle_peers_are_small() {
    type Device = Endpoint<FixedBuffer<1152>, FixedBuffer<64>, 2, 4>;
    let sizes = (size_of::<Endpoint<(), (), 2, 4>>(), size_of::<Device>());
    println!(
        "without buffers {} bytes, device {} bytes",
        sizes.0, sizes.1
    );
    assert!(sizes.0 < 400 && sizes.1 < 3_200);
    #[cfg(feature = "std")]
    {
        let server = size_of::<Endpoint<Vec<u8>, Vec<u8>, 2, 4>>();
        println!("server {server} bytes");
        assert!(server < 640);
    }
}
