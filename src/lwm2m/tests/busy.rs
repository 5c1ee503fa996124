//! A device that answers 5.03 with Max-Age is asked again after it (RFC 7252 §5.9.3.4).

use super::*;
use lwm2m_objects::Path;

fn busy(request: &Message<'_>, max_age: u32) -> Msg {
    Msg::ack(request, Code::SERVICE_UNAVAILABLE).uint(OptionNumber::MAX_AGE, max_age)
}

#[test]
fn a_request_waits_as_long_as_the_device_says() {
    let mut sim = registered();
    sim.limit_lifetime();
    sim.command(1, "dev1", Operation::read(Path::resource(3, 0, 0)));
    let first = sim.take_one();
    let first = Message::parse(&first).unwrap();
    sim.give(peer(1), busy(&first, 20));
    sim.command(2, "dev1", Operation::read(Path::resource(3, 0, 1)));
    sim.advance(19_900);
    assert!(sim.sent.is_empty() && sim.outcomes().is_empty());
    sim.advance(200);
    let again = sim.take_one();
    let again = Message::parse(&again).unwrap();
    assert_eq!(path_of(&again), "/3/0/0");
    sim.give(peer(1), text(&again, "x"));
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
    assert_eq!(sim.sent.len(), 1, "then the next");
}

#[test]
fn a_request_that_ends_before_is_told_when() {
    let mut sim = registered();
    sim.limit_lifetime();
    sim.command(1, "dev1", Operation::read(Path::resource(3, 0, 0)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(peer(1), busy(&request, 500).payload(b"flash"));
    let outcome = Outcome::Unavailable {
        after: 500,
        diagnostic: "flash".into(),
    };
    assert_eq!(sim.outcomes(), [(1, outcome)]);
}

#[test]
fn a_device_that_is_always_busy_does_not_hold_a_request_for_ever() {
    let mut sim = registered();
    sim.limit_lifetime();
    sim.command(1, "dev1", Operation::read(Path::resource(3, 0, 0)));
    let mut asked = 0;
    while let Some((_, to, bytes)) = sim.sent.pop() {
        asked += 1;
        sim.give(to, busy(&Message::parse(&bytes).unwrap(), 1));
        sim.advance(1_000);
    }
    assert_eq!(asked, 17);
    assert!(matches!(
        sim.outcomes()[..],
        [(1, Outcome::Unavailable { after: 1, .. })]
    ));
}
