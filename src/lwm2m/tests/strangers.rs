//! Devices that proved nothing: bounded in all, for each source, and in time.

use super::*;
use lwm2m_objects::Path;

fn limits() -> Limits {
    Limits {
        strangers: 10,
        strangers_per_source: 4,
        ..Limits::default()
    }
}

fn at(source: u8, port: u16) -> Peer {
    Peer::udp(([203, 0, 113, source], port).into())
}

fn register_for(endpoint: &str, lifetime: u32) -> Msg {
    Msg::con(Code::POST, 1, b"r")
        .path("rd")
        .query(&format!("ep={endpoint}&lt={lifetime}&lwm2m=1.1"))
        .payload(LINKS)
}

/// Registers; whoever is asked something answers, if it does so.
fn come(sim: &mut Sim, from: Peer, endpoint: &str, answers: bool) {
    sim.give(from, register_for(endpoint, u32::MAX));
    while let Some((_, to, bytes)) = sim.sent.pop() {
        let message = Message::parse(&bytes).unwrap();
        if message.code().is_request() && answers {
            sim.give(to, Msg::ack(&message, Code::NOT_FOUND));
        }
    }
}

fn names(sim: &Sim) -> Vec<String> {
    let mut names: Vec<_> = sim
        .shard
        .registrations()
        .map(|r| r.endpoint.to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn of_one_source_the_longest_idle_goes() {
    let mut sim = Sim::limited(limits());
    come(&mut sim, at(9, 1), "other", false);
    for n in 1..=20 {
        come(&mut sim, at(1, n), &format!("s{n:02}"), false);
    }
    assert_eq!(names(&sim), ["other", "s17", "s18", "s19", "s20"]);
    assert_eq!(sim.store.records(Kind::REGISTRATION).len(), 5);
    let ended = |event: &&Event| matches!(event, Event::Deregistered { .. });
    assert_eq!(sim.events.iter().filter(ended).count(), 16);
}

#[test]
fn of_all_the_longest_idle_goes_and_who_is_heard_stays() {
    let mut sim = Sim::limited(limits());
    come(&mut sim, at(0, 1), "s00", false);
    let location = sim.shard.registration("s00").unwrap().location.clone();
    for n in 1..=30 {
        come(&mut sim, at(n, 1), &format!("s{n:02}"), false);
        let update = Msg::con(Code::POST, 100 + u16::from(n), b"u");
        sim.give(at(0, 1), update.path(&format!("rd/{location}")));
        sim.sent.clear();
    }
    let names = names(&sim);
    assert_eq!((names.len(), names[0].as_str()), (10, "s00"));
    assert_eq!(sim.store.records(Kind::REGISTRATION).len(), 10);
}

#[test]
fn who_answers_is_not_counted() {
    let mut sim = Sim::limited(limits());
    for n in 1..=100 {
        come(&mut sim, at(1, n), &format!("s{n:03}"), true);
    }
    assert_eq!(names(&sim).len(), 100);
    // Nor is it when the server starts again.
    let records = sim.store.records(Kind::REGISTRATION);
    let mut sim = Sim::limited(limits());
    assert_eq!(sim.shard.restore(sim.now, records), (100, 0));
}

#[test]
fn after_a_restart_there_are_no_more_than_may_be() {
    let wide = Limits {
        exempt_loopback: false,
        ..Limits::default()
    };
    let mut sim = Sim::limited(wide);
    for n in 1..=50 {
        come(&mut sim, at(1, n), &format!("s{n:02}"), false);
    }
    let store = sim.store.restart();
    let records = store.records(Kind::REGISTRATION);
    assert_eq!(records.len(), 50);
    let mut sim = Sim::limited(limits());
    sim.store = store;
    assert_eq!(sim.shard.restore(sim.now, records), (4, 0));
    sim.drain();
    assert_eq!(sim.store.records(Kind::REGISTRATION).len(), 4);
}

#[test]
fn senders_on_this_machine_are_exempt_if_the_operator_says_so() {
    for (exempt_loopback, left) in [(true, 20), (false, 4)] {
        let limits = Limits {
            exempt_loopback,
            ..limits()
        };
        let mut sim = Sim::limited(limits);
        for n in 1..=20 {
            come(&mut sim, peer(n), &format!("s{n}"), false);
        }
        assert_eq!(names(&sim).len(), left);
    }
}

#[test]
fn a_registry_full_of_strangers_has_room() {
    let limits = Limits {
        registrations: 3,
        ..limits()
    };
    let mut sim = Sim::limited(limits);
    for n in 1..=9 {
        come(&mut sim, at(n, 1), &format!("s{n}"), false);
    }
    assert_eq!(names(&sim), ["s7", "s8", "s9"]);
}

#[test]
fn a_stranger_is_asked_before_its_day_is_over() {
    const DAY: u64 = 86_400_000;
    for answers in [true, false] {
        let mut sim = Sim::limited(Limits::default());
        come(&mut sim, at(1, 1), "dev1", false);
        sim.advance(DAY - 121_000);
        assert!(sim.sent.is_empty());
        sim.advance(2_000);
        let question = sim.take_one();
        if answers {
            let question = Message::parse(&question).unwrap();
            sim.give(at(1, 1), Msg::ack(&question, Code::NOT_FOUND));
        }
        sim.advance(DAY);
        assert_eq!(names(&sim).len(), usize::from(answers));
        let kept = sim.store.records(Kind::REGISTRATION).len();
        assert_eq!(kept, usize::from(answers));
    }
}

#[test]
fn a_device_is_deleted_with_all_that_waits() {
    let mut sim = registered();
    let execute = |resource| Operation::Execute {
        path: Path::resource(5, 0, resource),
        arguments: String::new(),
    };
    sim.ask_device(1, "dev1", execute(1), true);
    sim.ask_device(2, "dev1", execute(2), false);
    sim.ask_device(3, "dev1", execute(3), true);
    sim.shard.handle(sim.now, Input::Delete("dev1".into()));
    sim.drain();
    let ends = sim.outcomes();
    assert_eq!(ends.len(), 3);
    let cancelled = |end: &(u64, Outcome)| matches!(end.1, Outcome::Cancelled(_));
    assert!(ends.iter().all(cancelled), "{ends:?}");
    for kind in [Kind::REGISTRATION, Kind::REQUEST] {
        assert!(sim.store.records(kind).is_empty());
    }
    assert!(matches!(sim.events[..], [Event::Deregistered { .. }]));
    assert_eq!(sim.shard.next_deadline(), None);
    // Nothing is known of it, and it may come again.
    sim.shard.handle(sim.now, Input::Delete("dev1".into()));
    sim.drain();
    sim.sent.clear();
    sim.register(peer(1), "dev1", 7);
}
