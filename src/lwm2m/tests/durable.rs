//! Durable requests: stored, sent, told, forgotten, in that order, whenever the process ends.

use super::*;
use lwm2m_objects::Path;

fn execute(resource: u16) -> Operation {
    Operation::Execute {
        path: Path::resource(5, 0, resource),
        arguments: "0".into(),
    }
}

fn registered() -> Sim {
    let mut sim = Sim::new();
    sim.register(peer(1), "dev1", 1);
    sim.events.clear();
    sim
}

/// The device answers what it was sent, until there is nothing more. Returns the resources.
fn serve(sim: &mut Sim) -> Vec<String> {
    let mut asked = Vec::new();
    while let Some((_, to, bytes)) = sim.sent.pop() {
        let request = Message::parse(&bytes).unwrap();
        if !request.code().is_request() {
            continue;
        }
        assert!(sim.sent.is_empty(), "one at a time");
        asked.push(path_of(&request));
        sim.give(to, Msg::ack(&request, Code::CHANGED));
    }
    asked
}

#[test]
fn stored_before_it_is_sent_and_forgotten_before_it_is_told() {
    let mut sim = registered();
    sim.slow_store = true;
    sim.ask_device(1, "dev1", execute(1), true);
    sim.ask_device(2, "dev1", execute(2), false);
    assert!(sim.sent.is_empty(), "in order, and the first is not stored");
    sim.commit();
    assert_eq!(serve(&mut sim), ["/5/0/1", "/5/0/2"]);
    assert_eq!(sim.outcomes(), [(2, Outcome::Done)]);
    assert_eq!(sim.store.records(Kind::REQUEST).len(), 1);
    sim.commit();
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);
    assert!(sim.store.records(Kind::REQUEST).is_empty());
}

#[test]
fn a_restart_sends_what_is_open_in_order() {
    let mut sim = registered();
    for id in [7, 3, 5] {
        sim.ask_device(id, "dev1", execute(id as u16), true);
    }
    sim.ask_device(9, "dev1", execute(9), false);
    assert_eq!(sim.sent.len(), 1);
    let mut sim = sim.restart();
    assert_eq!(sim.sent.len(), 1, "never two at once");
    // The same id again is the same request.
    sim.ask_device(3, "dev1", execute(1), true);
    assert_eq!(serve(&mut sim), ["/5/0/7", "/5/0/3", "/5/0/5"]);
    let ids: Vec<_> = sim.outcomes().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [7, 3, 5]);
    let sim = sim.restart();
    assert!(sim.sent.is_empty());
}

#[test]
fn each_end_forgets_the_record() {
    let mut sim = registered();
    sim.ask_device(1, "dev1", execute(1), true);
    sim.ask_device(2, "dev1", execute(2), true);
    sim.shard.handle(sim.now, Input::Withdraw(RequestId(2)));
    sim.drain();
    sim.sent.clear();
    sim.register(peer(2), "dev1", 2);
    assert_eq!(sim.outcomes().len(), 2);
    assert!(sim.store.records(Kind::REQUEST).is_empty());

    // Expired while the server was down.
    sim.sent.clear();
    sim.ask_device(3, "dev1", execute(3), true);
    sim.now.wall += 200_000;
    let mut sim = sim.restart();
    assert!(sim.sent.is_empty());
    assert_eq!(sim.outcomes(), [(3, Outcome::Expired)]);
    assert!(sim.store.records(Kind::REQUEST).is_empty());

    // The registration ended while the server was down.
    sim.ask_device(4, "dev1", execute(4), true);
    let key = Key::new(Kind::REGISTRATION, "dev1");
    sim.store.commit_now(&Batch::delete(key)).unwrap();
    let mut sim = sim.restart();
    assert_eq!(sim.outcomes(), [(4, Outcome::NotRegistered)]);
    assert!(sim.store.records(Kind::REQUEST).is_empty());
}

#[test]
fn bounded_and_refused() {
    let mut sim = registered();
    let limit = Limits::default().durable as u64;
    for id in 0..=limit {
        sim.ask_device(id, "dev1", execute(1), true);
    }
    let outcomes = sim.outcomes();
    assert!(matches!(outcomes[..], [(id, Outcome::Cancelled(_))] if id == limit));
    assert_eq!(sim.store.records(Kind::REQUEST).len() as u64, limit);
    serve(&mut sim);
    sim.outcomes();
    let push = Operation::Push {
        path: Path::resource(5, 0, 0),
        body: vec![0; 10].into(),
        from: 0,
        tag: [1; 8],
    };
    sim.ask_device(100, "dev1", push, true);
    assert!(matches!(sim.outcomes()[..], [(100, Outcome::Cancelled(_))]));
    sim.ask_device(101, "nobody", execute(1), true);
    assert_eq!(sim.outcomes(), [(101, Outcome::NotRegistered)]);
    assert!(sim.store.records(Kind::REQUEST).is_empty());
}

/// Asks for three things; returns what was told to be over and what the device did.
fn live(sim: &mut Sim) -> (Vec<u64>, Vec<String>) {
    sim.give(peer(1), register("dev1", 1));
    sim.sent.clear();
    let mut done = Vec::new();
    for id in 1..=3 {
        sim.ask_device(id, "dev1", execute(id as u16), true);
        done.extend(serve(sim));
    }
    let told = sim.outcomes().into_iter();
    let told = told.filter(|(_, outcome)| *outcome == Outcome::Done);
    (told.map(|(id, _)| id).collect(), done)
}

#[test]
fn nothing_is_lost_or_done_again_whenever_the_store_ends() {
    let mut whole = Sim::new();
    let (told, done) = live(&mut whole);
    assert_eq!((told.len(), done.len()), (3, 3));
    let commits = whole.store.commits();
    assert_eq!(commits, 7);
    for n in 0..=commits {
        let store = MemoryStore::new().fail_after(n);
        let now = Now {
            mono: 0,
            wall: 1_700_000_000_000,
        };
        let mut sim = Sim::with(store, now);
        let (_, done) = live(&mut sim);
        let kept = sim.store.records(Kind::REQUEST);
        let kept: Vec<_> = kept.iter().filter_map(|(key, _)| request_of(key)).collect();
        let mut sim = sim.restart();
        let again = serve(&mut sim);
        let ids: Vec<_> = sim.outcomes().into_iter().map(|(id, _)| id).collect();
        let expected: Vec<_> = kept.iter().map(|(_, id)| id.0).collect();
        assert_eq!(ids, expected, "after {n} commits");
        // Only the one whose end could not be stored is done twice.
        let twice = again.iter().filter(|path| done.contains(path)).count();
        assert!(twice <= 1 && twice == again.len(), "after {n} commits");
        assert!(sim.store.records(Kind::REQUEST).is_empty());
    }
}
