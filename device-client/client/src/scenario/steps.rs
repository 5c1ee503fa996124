//! Models run in steps: datagrams are handled between two of them.

use tinsmith_coap::{Code, Message, MessageType};

use super::world::{SERVER, World};
use crate::testing::{Board, LAYERS, WIDTH, expected, module, package, package_with};
use crate::{Input, ModelResult, SlotState};

const INPUT: [i8; WIDTH] = [2; WIDTH];

fn running() -> World {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/27303/0/10", "").unwrap(), Code::CHANGED);
    w
}

fn write_input(w: &mut World) -> Code {
    let bytes = INPUT.map(|x| x as u8);
    let written = w.ask(SERVER, Code::PUT, "/27304/0/5", |b| {
        b.uint(tinsmith_coap::OptionNumber::CONTENT_FORMAT, 42)
            .unwrap();
        b.payload(&bytes).unwrap();
    });
    written.unwrap().code
}

/// Hands a request over and looks at the client once.
fn begin(w: &mut World, path: &str) {
    let token = tinsmith_coap::Token::new(b"run").unwrap();
    let mut buf = [0; 64];
    let kind = MessageType::Confirmable;
    let id = w.id();
    let mut b = tinsmith_coap::Builder::new(&mut buf, kind, Code::POST, id, token).unwrap();
    let segments = path.split('/').filter(|s| !s.is_empty());
    b.options(tinsmith_coap::OptionNumber::URI_PATH, segments)
        .unwrap();
    let from = SERVER.parse().unwrap();
    let bytes = b.as_bytes();
    w.client
        .handle(w.now, Input::Datagram { from, bytes }, &mut w.board);
    w.drain().unwrap();
}

/// One more step, after which so many milliseconds have passed.
fn step(w: &mut World, ms: u64) {
    w.now.mono += ms;
    w.client.handle(w.now, Input::Timer, &mut w.board);
    w.drain().unwrap();
}

fn runs(w: &World) -> bool {
    w.client.device.engine.is_running()
}

/// Codes and kinds of what was sent.
fn sent(w: &mut World) -> Vec<(Code, MessageType)> {
    let mut all = Vec::new();
    while let Some((_, bytes)) = w.take_datagram() {
        let m = Message::parse(&bytes).unwrap();
        all.push((m.code(), m.message_type()));
        if m.message_type() == MessageType::Confirmable {
            w.deliver(SERVER, &[0x60, 0, bytes[2], bytes[3]]).unwrap();
        }
    }
    all
}

#[test]
fn a_slow_inference_is_acknowledged_in_time_and_answered_separately() {
    let mut w = running();
    assert_eq!(write_input(&mut w), Code::CHANGED);
    begin(&mut w, "/27304/0/4");
    let mut steps = 1;
    let mut told = Vec::new();
    while runs(&w) {
        assert_eq!(w.client.next_deadline(), Some(0), "it goes on at once");
        step(&mut w, 400);
        steps += 1;
        told.extend(sent(&mut w));
        if steps == 4 {
            assert_eq!(told, [(Code::EMPTY, MessageType::Acknowledgement)]);
        }
    }
    // One layer at a time on a board as slow as this.
    assert_eq!(steps, LAYERS);
    w.pump().unwrap();
    told.extend(sent(&mut w));
    let answered = (Code::CHANGED, MessageType::Confirmable);
    assert_eq!(told[1..], [answered]);
    let output = w.read("/27304/0/6").unwrap();
    let wanted = expected(&INPUT, 1, LAYERS)
        .iter()
        .map(|x| *x as u8)
        .collect::<Vec<_>>();
    assert_eq!(output[0].1.as_bytes(), Some(&wanted[..]));
}

#[test]
fn requests_are_answered_while_a_model_runs() {
    let mut w = running();
    assert_eq!(write_input(&mut w), Code::CHANGED);
    begin(&mut w, "/27304/0/4");
    // A datagram lets it go on for a step too.
    let get = [0x42, 1, 0x50, 1, 0xAB, 0xCD, 0xB1, b'3', 1, b'0', 1, b'0'];
    let from = SERVER.parse().unwrap();
    let bytes = &get[..];
    w.client
        .handle(w.now, Input::Datagram { from, bytes }, &mut w.board);
    w.drain().unwrap();
    assert!(runs(&w));
    let (_, answer) = w.take_datagram().unwrap();
    let m = Message::parse(&answer).unwrap();
    assert_eq!((m.code(), m.payload()), (Code::CONTENT, &b"Tinsmith"[..]));
    // What would spoil the arena has to wait.
    let put = [
        0x42, 3, 0x50, 2, 0xAB, 0xCE, 0xB5, b'2', b'7', b'3', b'0', b'4', 1, b'0', 1, b'5',
    ];
    let bytes = &[&put[..], &[0xFF], &[1; WIDTH]].concat()[..];
    w.client
        .handle(w.now, Input::Datagram { from, bytes }, &mut w.board);
    w.drain().unwrap();
    let (_, answer) = w.take_datagram().unwrap();
    let m = Message::parse(&answer).unwrap();
    assert_eq!(m.code(), Code::SERVICE_UNAVAILABLE);
    w.pump().unwrap();
    assert_eq!(
        sent(&mut w),
        [(Code::CHANGED, MessageType::Acknowledgement)]
    );
}

#[test]
fn a_rollback_ends_what_runs() {
    let mut w = running();
    assert_eq!(w.push(&package(2, 2, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(write_input(&mut w), Code::CHANGED);
    begin(&mut w, "/27304/0/4");
    assert!(runs(&w));
    // The trial's deadline.
    step(&mut w, 61_000);
    w.pump().unwrap();
    assert!(!runs(&w));
    let codes: Vec<_> = sent(&mut w).into_iter().map(|(code, _)| code).collect();
    assert!(codes.contains(&Code::SERVICE_UNAVAILABLE), "{codes:?}");
    assert_eq!(w.slots(), [SlotState::Active, SlotState::RolledBack]);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
}

#[test]
fn a_commit_waits_for_the_self_test() {
    for good in [true, false] {
        let mut w = World::registered(Board::small());
        let p = package_with(&module(1, LAYERS, good), 1, 60, |_| {});
        assert_eq!(w.push(&p).unwrap(), Code::CHANGED);
        begin(&mut w, "/5/0/2");
        assert_eq!(sent(&mut w).len(), 1, "answered before the self test");
        step(&mut w, 1);
        assert!(runs(&w));
        begin(&mut w, "/27303/0/10");
        assert!(w.take_datagram().is_none());
        w.pump().unwrap();
        let (code, state) = match good {
            true => (Code::CHANGED, SlotState::Active),
            false => (Code::METHOD_NOT_ALLOWED, SlotState::Failed),
        };
        assert_eq!(sent(&mut w), [(code, MessageType::Acknowledgement)]);
        assert_eq!(w.slots()[0], state);
        w.reboot();
        w.register().unwrap();
        assert_eq!(w.slots()[0], state, "it was stored");
    }
}

#[test]
fn a_package_may_take_the_slot_of_a_module_that_is_tested() {
    let mut w = running();
    // Slot 1 holds a module that nobody runs.
    assert_eq!(w.push(&package(2, 2, 60)).unwrap(), Code::CHANGED);
    begin(&mut w, "/27303/1/12");
    assert!(runs(&w));
    let reset = w.ask(SERVER, Code::PUT, "/5/0/0", |b| {
        b.payload(&[0]).unwrap();
    });
    // One request of a server at a time; the test has ended meanwhile.
    assert_eq!(reset.unwrap().code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(w.number("/27303/1/8").unwrap(), ModelResult::Success as i64);
    begin(&mut w, "/27303/1/12");
    // What is dropped in the middle is not run on.
    w.client
        .device
        .abandon(crate::update::firmware::Trigger::Reset)
        .unwrap();
    step(&mut w, 1);
    assert!(!runs(&w));
    assert_eq!(w.slots(), [SlotState::Active, SlotState::Empty]);
}
