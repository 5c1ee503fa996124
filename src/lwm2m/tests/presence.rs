//! Whether a device is there.

use lwm2m_objects::Path;

use super::*;

const MODEL: Path = Path::resource(3, 0, 1);

fn told(sim: &mut Sim) -> Vec<bool> {
    let events = std::mem::take(&mut sim.events).into_iter();
    events
        .filter_map(|event| match event {
            Event::Reachable { reachable, .. } => Some(reachable),
            _ => None,
        })
        .collect()
}

fn presence(sim: &Sim) -> Presence {
    sim.shard.presence(sim.now, "dev1").unwrap()
}

#[test]
fn who_does_not_answer_is_unreachable_until_it_is_heard() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.limit_lifetime();
    let registered = sim.now.wall;
    sim.advance(40_000);
    assert_eq!(presence(&sim).seen, registered);
    assert!(presence(&sim).reachable);
    sim.command(1, "dev1", Operation::read(MODEL));
    sim.advance(94_000);
    assert!(matches!(
        sim.outcomes()[..],
        [(1, Outcome::TimedOut { .. })]
    ));
    assert!(!presence(&sim).reachable);
    assert_eq!(sim.shard.present(sim.now), (1, 0));

    // What is asked now waits, as long as it was given.
    sim.sent.clear();
    sim.ask_device(2, "dev1", Operation::read(MODEL), false);
    assert!(sim.sent.is_empty());
    let update = Msg::con(Code::POST, 2, b"u").path(&location);
    sim.give(peer(1), update);
    assert!(presence(&sim).reachable);
    assert_eq!(presence(&sim).seen, sim.now.wall);
    assert_eq!(sim.shard.present(sim.now), (1, 1));
    assert_eq!(sim.sent.len(), 2, "the answer and the Read");
    assert_eq!(sim.shard.presence(sim.now, "nobody"), None);
}

#[test]
fn each_change_is_told_once() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.limit_lifetime();
    let life = |sim: &mut Sim, id: u16| {
        sim.give(peer(1), Msg::con(Code::POST, id, b"u").path(&location));
    };
    life(&mut sim, 2);
    assert!(told(&mut sim).is_empty());
    sim.ask_device(1, "dev1", Operation::read(MODEL), false);
    sim.advance(94_000);
    assert_eq!(told(&mut sim), [false]);
    life(&mut sim, 3);
    assert_eq!(told(&mut sim), [true]);
    sim.sent.clear();
    life(&mut sim, 4);
    assert!(told(&mut sim).is_empty());
}

#[test]
fn one_in_queue_mode_is_there_for_a_while() {
    let mut sim = Sim::new();
    let register = Msg::con(Code::POST, 1, b"r")
        .path("rd")
        .query("ep=dev1&lt=600&lwm2m=1.0&b=UQ")
        .payload(LINKS);
    sim.give(peer(1), register);
    let location = created(&sim.take_one());
    assert!(presence(&sim).reachable);
    sim.advance(92_000);
    assert!(presence(&sim).reachable);
    sim.advance(2_000);
    assert!(!presence(&sim).reachable);
    sim.give(peer(1), Msg::con(Code::POST, 2, b"u").path(&location));
    assert!(presence(&sim).reachable);
}

#[test]
fn what_is_durable_can_be_asked_of_one_that_is_not_registered() {
    let mut sim = Sim::new();
    let expires = sim.now.wall + 100_000;
    for id in 1..20 {
        let request = DeviceRequest {
            id: RequestId(id),
            endpoint: "dev1".into(),
            operation: Operation::read(MODEL),
            expires,
            durable: id != 5,
        };
        sim.shard.handle(sim.now, Input::Later(request));
        sim.drain();
    }
    // No more than of one that is registered.
    let mut refused = sim.outcomes();
    assert_eq!(refused.remove(0), (5, Outcome::NotRegistered));
    assert_eq!(refused.len(), 2, "{refused:?}");
    let mut sim = sim.restart();
    sim.give(peer(1), register("dev1", 1));
    created(&sim.sent.remove(0).2);
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(peer(1), text(&request, "nRF52840"));
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
}

#[test]
fn who_is_asked_with_less_patience_is_asked_whether_it_is_there() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.limit_lifetime();
    let ask = |sim: &mut Sim, id: u64| {
        sim.sent.clear();
        let request = DeviceRequest {
            id: RequestId(id),
            endpoint: "dev1".into(),
            operation: Operation::read(MODEL),
            expires: sim.now.wall + 1_000,
            durable: false,
        };
        sim.shard.handle(sim.now, Input::Command(request));
        sim.drain();
        sim.advance(1_000);
        assert_eq!(sim.outcomes(), [(id, Outcome::Expired)]);
    };
    ask(&mut sim, 1);
    assert!(presence(&sim).reachable);
    sim.advance(94_000);
    assert!(!presence(&sim).reachable);
    // Silence, but for what it asks itself.
    ask(&mut sim, 2);
    sim.advance(94_000);
    assert!(sim.sent.is_empty());
    sim.give(peer(1), Msg::con(Code::POST, 2, b"u").path(&location));
    assert!(presence(&sim).reachable);
}
