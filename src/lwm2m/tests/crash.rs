//! The process dies after the n-th commit, for every n.

use super::*;
use lwm2m_objects::Path;

/// A life of two devices; returns what each was promised, as the devices see it.
fn live(sim: &mut Sim) -> Vec<(String, bool)> {
    let mut promised: Vec<(String, bool)> = Vec::new();
    let mut locations = Vec::new();
    for (i, name) in ["dev1", "dev2"].iter().enumerate() {
        let from = peer(i as u16 + 1);
        let answer = sim.ask(from, register(name, 1));
        if code(&answer) == Code::CREATED {
            promised.push((name.to_string(), true));
            locations.push((from, created(&answer)));
        }
    }
    for (from, location) in &locations {
        let update = Msg::con(Code::POST, 2, b"u").path(location).query("lt=500");
        sim.ask(*from, update);
    }
    sim.command(1, "dev1", Operation::observe(Path::resource(5, 0, 3)));
    if let Some((_, to, bytes)) = sim.sent.pop() {
        let request = Message::parse(&bytes).unwrap();
        let answer = Msg::ack(&request, Code::CONTENT)
            .uint(OptionNumber::OBSERVE, 1)
            .payload(b"0");
        sim.give(to, answer);
    }
    if let Some((from, location)) = locations.get(1) {
        let answer = sim.ask(*from, Msg::con(Code::DELETE, 3, b"d").path(location));
        if code(&answer) == Code::DELETED {
            promised.retain(|(name, _)| name != "dev2");
            promised.push(("dev2".into(), false));
        }
    }
    promised
}

#[test]
fn what_was_answered_is_there_after_a_crash() {
    let mut whole = Sim::new();
    live(&mut whole);
    let commits = whole.store.commits();
    assert!(commits >= 5);
    for n in 0..=commits {
        let store = MemoryStore::new().fail_after(n);
        let mut sim = Sim::with(
            store,
            Now {
                mono: 0,
                wall: 1_700_000_000_000,
            },
        );
        let promised = live(&mut sim);
        let sim = sim.restart();
        for (name, there) in promised {
            let found = sim.shard.registration(&name).is_some();
            assert_eq!(found, there, "{name} after {n} commits");
        }
    }
}
