//! What is sent to addresses that anybody may have written: at most three bytes for each that came
//! from there.

use super::*;
use lwm2m_objects::{OwnedValue, Path};

fn far(port: u16) -> Peer {
    Peer::udp(([203, 0, 113, 7], port).into())
}

fn long_register(endpoint: &str, id: u16) -> Msg {
    Msg::con(Code::POST, id, &id.to_be_bytes())
        .path("rd")
        .query(&format!("ep={endpoint}&lt=80000&lwm2m=1.1"))
        .payload(LINKS)
}

/// A stranger that has just registered, and the bytes that it sent.
fn stranger(endpoint: &str) -> (Sim, usize) {
    let mut sim = Sim::limited(Limits::default());
    let register = long_register(endpoint, 1);
    let sent = register.clone().bytes().len();
    sim.give(far(1), register);
    (sim, sent)
}

/// Bytes that were sent to a peer.
fn bytes(sim: &Sim, to: Peer) -> usize {
    let sent = sim.sent.iter().filter(|(_, peer, _)| *peer == to);
    sent.map(|(_, _, bytes)| bytes.len()).sum()
}

fn long_write() -> Operation {
    let path = Path::resource(27304, 0, 5);
    let value = OwnedValue::Opaque(vec![7; 600]);
    Operation::write(path, vec![(path, value)], true)
}

#[test]
fn three_bytes_for_each_whatever_is_asked() {
    for operation in [
        Operation::read(Path::object(3)),
        Operation::observe(Path::resource(5, 0, 3)),
        long_write(),
    ] {
        let (mut sim, received) = stranger("dev1");
        for id in 0..20 {
            sim.command(id, "dev1", operation.clone());
            sim.advance(100_000);
        }
        let sent = bytes(&sim, far(1));
        assert!(sent <= 3 * received, "{sent} for {received}: {operation:?}");
        assert!(sim.outcomes().len() >= 19);
    }
}

#[test]
fn more_is_sent_when_the_device_has_answered() {
    let (mut sim, _) = stranger("dev1");
    sim.sent.clear();
    sim.command(1, "dev1", long_write());
    let question = sim.take_one();
    assert!(question.len() <= 12, "{question:?}");
    let question = Message::parse(&question).unwrap();
    // Somebody who does not see it can't answer it.
    let forged = Msg {
        token: vec![1, 2, 3, 4, 5, 6, 7, 8],
        ..Msg::ack(&question, Code::NOT_FOUND)
    };
    sim.give(far(1), forged);
    assert!(sim.sent.is_empty());
    sim.give(far(1), Msg::ack(&question, Code::NOT_FOUND));
    let write = sim.take_one();
    let write = Message::parse(&write).unwrap();
    assert_eq!((write.code(), write.payload().len()), (Code::PUT, 600));
    sim.give(far(1), Msg::ack(&write, Code::CHANGED));
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);
    sim.command(2, "dev1", long_write());
    assert!(sim.take_one().len() > 600);
}

#[test]
fn after_a_time_out_there_is_silence_until_a_sign_of_life() {
    for proven in [true, false] {
        let (mut sim, _) = stranger("dev1");
        let location = created(&sim.sent.remove(0).2);
        if proven {
            sim.command(1, "dev1", Operation::read(Path::object(3)));
            let request = sim.take_one();
            let request = Message::parse(&request).unwrap();
            sim.give(far(1), Msg::ack(&request, Code::NOT_FOUND));
        }
        sim.command(2, "dev1", Operation::read(Path::object(3)));
        sim.advance(95_000);
        assert_eq!(
            sim.outcomes().last(),
            Some(&(2, Outcome::TimedOut { sent: 0 }))
        );
        sim.sent.clear();
        for id in 3..10 {
            sim.command(id, "dev1", Operation::read(Path::object(3)));
            sim.advance(110_000);
        }
        assert!(sim.sent.is_empty());
        assert_eq!(sim.outcomes().len(), 7);
        sim.command(11, "dev1", Operation::read(Path::object(3)));
        sim.give(far(1), Msg::con(Code::POST, 9, b"u").path(&location));
        assert_eq!(code(&sim.sent.remove(0).2), Code::CHANGED);
        assert_eq!(sim.sent.len(), 1, "what waited");
    }
}

#[test]
fn an_update_from_elsewhere_moves_the_device_and_proves_nothing() {
    let (mut sim, _) = stranger("dev1");
    let location = created(&sim.sent.remove(0).2);
    sim.command(1, "dev1", Operation::read(Path::object(3)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(far(1), Msg::ack(&request, Code::NOT_FOUND));
    let update = Msg::con(Code::POST, 9, b"u").path(&location);
    let received = update.clone().bytes().len();
    let victim = Peer::udp(([192, 0, 2, 99], 7).into());
    sim.give(victim, update);
    sim.command(2, "dev1", long_write());
    sim.advance(400_000);
    let sent = bytes(&sim, victim);
    assert!(sent > 0 && sent <= 3 * received, "{sent} for {received}");
    assert_eq!(bytes(&sim, far(1)), 0);
}

#[test]
fn a_restart_proves_nothing_and_forgets_no_proof() {
    // Not proven: it may be sent as much as before, and no more.
    let (mut sim, received) = stranger("dev1");
    sim.sent.clear();
    let mut sim = far_restart(&sim);
    sim.command(1, "dev1", long_write());
    sim.advance(400_000);
    let sent = bytes(&sim, far(1));
    assert!(sent > 0 && sent <= 3 * received, "{sent} for {received}");

    // Proven, and stored since.
    let (mut sim, _) = stranger("dev1");
    sim.sent.clear();
    sim.command(1, "dev1", Operation::observe(Path::resource(5, 0, 3)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let answer = Msg::ack(&request, Code::CONTENT).uint(OptionNumber::OBSERVE, 1);
    sim.give(far(1), answer.payload(b"0"));
    let mut sim = far_restart(&sim);
    sim.command(1, "dev1", long_write());
    assert!(sim.take_one().len() > 600);
}

/// With the limits of [`stranger`].
fn far_restart(sim: &Sim) -> Sim {
    let records = sim.store.records(Kind::REGISTRATION);
    let mut sim = Sim::limited(Limits::default());
    assert_eq!(sim.shard.restore(sim.now, records), (1, 0));
    sim.drain();
    sim
}

#[test]
fn an_answer_without_state_is_no_amplifier() {
    let mut sim = Sim::limited(Limits::default());
    for request in [
        Msg::con(Code::POST, 1, b"").path("rd"),
        Msg::con(Code::POST, 1, b"").path("rd").query("lwm2m=9"),
        Msg::con(Code::POST, 1, b"").path("rd").query("ep=a&lt=x"),
        Msg::con(Code::GET, 1, b"").option(OptionNumber(9), b""),
    ] {
        let request = request.bytes();
        for listener in [MANAGEMENT, BOOTSTRAP] {
            sim.inbound(listener, far(1), &request);
            let answer = sim.take_one();
            assert!(answer.len() <= 3 * request.len(), "{request:?} {answer:?}");
            assert!(!code(&answer).is_success());
        }
    }
}

#[test]
fn a_bootstrap_is_no_amplifier_either() {
    let mut sim = Sim::limited(Limits::default());
    let start = Msg::con(Code::POST, 1, b"b").path("bs").query("ep=dev1");
    let start = start.bytes();
    sim.inbound(BOOTSTRAP, far(1), &start);
    sim.advance(400_000);
    let sent = bytes(&sim, far(1));
    assert!(sent > 0 && sent <= 3 * start.len(), "{sent}");
    assert_eq!(sim.shard.next_deadline(), None);
}
