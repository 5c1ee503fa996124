//! Durable requests: stored, sent, told, forgotten, in that order, whenever the process ends.

use super::*;
use lwm2m_objects::Path;

fn execute(resource: u16) -> Operation {
    Operation::Execute {
        path: Path::resource(5, 0, resource),
        arguments: "0".into(),
    }
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
    serve(&mut sim);
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
}

/// What has been asked and is not over, by the store.
fn kept(sim: &Sim) -> Vec<u64> {
    let records = sim.store.records(Kind::REQUEST);
    let ids = records.iter().filter_map(|(key, _)| request_of(key));
    ids.map(|(_, id)| id.0).collect()
}

#[test]
fn a_new_register_does_not_end_it() {
    let mut sim = registered();
    for id in 1..=3 {
        sim.ask_device(id, "dev1", execute(id as u16), id != 2);
    }
    assert_eq!(sim.sent.len(), 1);
    sim.sent.clear();
    // The device reboots before it answers; what is not durable is lost.
    sim.give(peer(2), register("dev1", 9));
    created(&sim.sent.remove(0).2);
    assert!(matches!(sim.outcomes()[..], [(2, Outcome::Cancelled(_))]));
    assert_eq!(kept(&sim), [1, 3]);
    assert_eq!(serve(&mut sim), ["/5/0/1", "/5/0/3"]);
    assert_eq!(sim.outcomes(), [(1, Outcome::Done), (3, Outcome::Done)]);
    assert!(kept(&sim).is_empty());
}

#[test]
fn neither_the_end_of_the_registration_nor_a_restart_ends_it() {
    let long = |sim: &mut Sim, id: u64| {
        let request = DeviceRequest {
            id: RequestId(id),
            endpoint: "dev1".into(),
            operation: execute(id as u16),
            expires: sim.now.wall + 10_000_000,
            durable: true,
        };
        sim.shard.handle(sim.now, Input::Command(request));
        sim.drain();
    };
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.slow_store = true;
    long(&mut sim, 1);
    long(&mut sim, 2);
    // The device leaves while they are being stored.
    sim.give(peer(1), Msg::con(Code::DELETE, 2, b"d").path(&location));
    sim.commit();
    sim.slow_store = false;
    assert_eq!(code(&sim.take_one()), Code::DELETED);
    assert!(sim.shard.registration("dev1").is_none());
    assert_eq!((kept(&sim), sim.outcomes().len()), (vec![1, 2], 0));

    let mut sim = sim.restart();
    assert!(sim.sent.is_empty());
    assert_eq!((kept(&sim), sim.outcomes().len()), (vec![1, 2], 0));
    sim.give(peer(1), register("dev1", 3));
    created(&sim.sent.remove(0).2);
    assert_eq!(sim.sent.len(), 1, "one at a time, after the answer");
    sim.sent.clear();

    // The lifetime passes without an answer.
    sim.advance(59_000);
    sim.sent.clear();
    sim.advance(2_000);
    assert!(sim.shard.registration("dev1").is_none());
    assert_eq!((kept(&sim), sim.outcomes().len()), (vec![1, 2], 0));
    sim.sent.clear();
    sim.give(peer(1), register("dev1", 4));
    created(&sim.sent.remove(0).2);
    assert_eq!(serve(&mut sim), ["/5/0/1", "/5/0/2"]);
    assert_eq!(sim.outcomes(), [(1, Outcome::Done), (2, Outcome::Done)]);
}

#[test]
fn a_device_that_does_not_answer_is_asked_again_when_it_is_heard() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    let life = |sim: &mut Sim, id: u16| {
        sim.sent.clear();
        let update = Msg::con(Code::POST, id, b"u").path(&location);
        sim.give(peer(1), update);
        assert_eq!(code(&sim.sent.remove(0).2), Code::CHANGED);
    };
    sim.ask_device(1, "dev1", execute(1), true);
    sim.advance(30_000);
    life(&mut sim, 2);
    sim.advance(50_000);
    life(&mut sim, 3);
    // All repetitions are over, the request is not.
    sim.advance(15_000);
    sim.sent.clear();
    sim.shard
        .handle(sim.now, Input::PeerGone(MANAGEMENT, peer(1)));
    sim.drain();
    assert_eq!((kept(&sim), sim.outcomes().len()), (vec![1], 0));
    assert!(sim.sent.is_empty());
    life(&mut sim, 4);
    assert_eq!(serve(&mut sim), ["/5/0/1"]);
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);
}

#[test]
fn what_waits_for_a_device_that_is_away_expires_or_is_taken_back() {
    let mut sim = registered();
    for id in 1..=3 {
        sim.ask_device(id, "dev1", execute(id as u16), true);
    }
    let location = format!("rd/{}", sim.shard.registration("dev1").unwrap().location);
    sim.sent.clear();
    sim.give(peer(1), Msg::con(Code::DELETE, 2, b"d").path(&location));
    assert!(sim.outcomes().is_empty());
    sim.shard.handle(sim.now, Input::Withdraw(RequestId(2)));
    sim.drain();
    assert!(matches!(sim.outcomes()[..], [(2, Outcome::Cancelled(_))]));
    assert_eq!(kept(&sim), [1, 3]);
    sim.advance(99_000);
    assert!(sim.outcomes().is_empty());
    sim.advance(2_000);
    assert_eq!(
        sim.outcomes(),
        [(1, Outcome::Expired), (3, Outcome::Expired)]
    );
    assert!(kept(&sim).is_empty());
    assert_eq!(sim.shard.next_deadline(), None);
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

#[test]
fn an_end_that_cannot_be_stored_is_told_when_it_can() {
    let mut sim = registered();
    sim.ask_device(1, "dev1", execute(1), true);
    sim.slow_store = true;
    assert_eq!(serve(&mut sim), ["/5/0/1"]);
    for _ in 0..3 {
        let (id, _) = sim.waiting.remove(0);
        let error = tinsmith_store::StoreError::Io("full".into());
        sim.shard.handle(sim.now, Input::PersistFailed(id, error));
        sim.drain();
        // Told now, it would be told again by a restarted server, which asks the device again.
        assert_eq!((kept(&sim), sim.outcomes().len()), (vec![1], 0));
        sim.advance(1_000);
    }
    assert!(sim.sent.is_empty());
    sim.commit();
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);
    assert!(kept(&sim).is_empty());
}
