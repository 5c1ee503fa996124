//! What comes while a device enters or leaves.

use super::*;
use lwm2m_objects::Path;

fn update(location: &str, id: u16) -> Msg {
    Msg::con(Code::POST, id, &id.to_be_bytes())
        .path(location)
        .query("lt=500")
}

#[test]
fn an_update_that_a_deregister_has_overtaken_leaves_nothing_behind() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.slow_store = true;
    sim.give(peer(1), Msg::con(Code::DELETE, 3, b"d").path(&location));
    assert!(sim.sent.is_empty());
    let answer = sim.ask(peer(1), update(&location, 2));
    assert_eq!(code(&answer), Code::NOT_FOUND);
    sim.commit();
    assert_eq!(code(&sim.take_one()), Code::DELETED);
    assert!(sim.store.records(Kind::REGISTRATION).is_empty());
    assert!(sim.restart().shard.registration("dev1").is_none());
}

#[test]
fn a_device_whose_removal_is_not_stored_stays() {
    let mut sim = Sim::with(
        MemoryStore::new().fail_after(2),
        Now {
            mono: 0,
            wall: 1_700_000_000_000,
        },
    );
    let location = sim.register(peer(1), "dev1", 1);
    let path = Path::resource(5, 0, 3);
    sim.command(1, "dev1", Operation::observe(path));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let token = request.token();
    let answer = Msg::ack(&request, Code::CONTENT).uint(OptionNumber::OBSERVE, 1);
    sim.give(peer(1), answer.payload(b"0"));
    let deregister = Msg::con(Code::DELETE, 3, b"d").path(&location);
    let answer = sim.ask(peer(1), deregister);
    assert_eq!(code(&answer), Code::SERVICE_UNAVAILABLE);
    assert!(sim.shard.registration("dev1").is_some());
    // What it is observed for is known still.
    sim.events.clear();
    let notification = Msg {
        kind: MessageType::NonConfirmable,
        ..Msg::con(Code::CONTENT, 9, token.as_bytes())
    };
    let notification = notification.uint(OptionNumber::OBSERVE, 2).payload(b"1");
    sim.give(peer(1), notification);
    assert!(matches!(sim.events[..], [Event::Notified { .. }]));
}

#[test]
fn a_register_while_the_one_before_is_stored_gets_the_only_answer() {
    let mut sim = Sim::new();
    sim.slow_store = true;
    sim.give(peer(1), register("dev1", 1));
    sim.give(peer(2), register("dev1", 2));
    sim.commit();
    let (_, to, answer) = sim.sent.remove(0);
    assert_eq!((to, sim.sent.len()), (peer(2), 0));
    let location = created(&answer);
    assert_eq!(sim.events.len(), 1);
    let registration = sim.shard.registration("dev1").unwrap();
    assert_eq!(format!("rd/{}", registration.location), location);
}
