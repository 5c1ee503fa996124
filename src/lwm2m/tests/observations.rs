//! Observations: begun, ordered, restored, ended.

use lwm2m_objects::Path;

use super::*;

fn observe(sim: &mut Sim, sequence: u32) -> Vec<u8> {
    sim.command(50, "dev1", Operation::observe(Path::resource(5, 0, 3)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(request.observe(), Some(0));
    let answer = text(&request, "0").uint(OptionNumber::OBSERVE, sequence);
    sim.give(peer(1), answer);
    assert!(matches!(sim.outcomes()[..], [(50, Outcome::Content(_))]));
    request.token().as_bytes().to_vec()
}

fn notify(token: &[u8], id: u16, sequence: u32, value: &str) -> Msg {
    Msg::con(Code::CONTENT, id, token)
        .uint(OptionNumber::OBSERVE, sequence)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(value.as_bytes())
}

fn notified(sim: &mut Sim) -> Vec<i64> {
    let mut found = Vec::new();
    for event in sim.events.drain(..) {
        if let Event::Notified { values, .. } = event {
            found.push(values[0].value.as_i64().unwrap());
        }
    }
    found
}

#[test]
fn notifications_in_order_repeated_and_unknown() {
    let mut sim = registered();
    let token = observe(&mut sim, 10);
    let ack = |id: u8| vec![0x60, 0, 0, id];
    assert_eq!(sim.ask(peer(1), notify(&token, 1, 12, "2")), ack(1));
    // Reordered: older than what we have.
    assert_eq!(sim.ask(peer(1), notify(&token, 2, 11, "1")), ack(2));
    // The same datagram again.
    assert_eq!(sim.ask(peer(1), notify(&token, 1, 12, "2")), ack(1));
    assert_eq!(sim.ask(peer(1), notify(&token, 3, 13, "3")), ack(3));
    // Undecodable: the observation lives on.
    assert_eq!(sim.ask(peer(1), notify(&token, 4, 14, "x")), ack(4));
    let non = Msg {
        kind: MessageType::NonConfirmable,
        ..notify(&token, 5, 15, "0")
    };
    sim.give(peer(1), non);
    assert!(sim.sent.is_empty());
    assert_eq!(notified(&mut sim), [2, 3, 0]);

    let unknown = sim.ask(peer(1), notify(b"other", 6, 1, "1"));
    assert_eq!(unknown, [0x70, 0, 0, 6]);
    // From another address, without security: refused.
    assert_eq!(
        sim.ask(peer(2), notify(&token, 7, 16, "1")),
        [0x70, 0, 0, 7]
    );
    assert!(notified(&mut sim).is_empty());
}

#[test]
fn cancel_observe_and_an_error_end_it() {
    let mut sim = registered();
    let token = observe(&mut sim, 10);
    sim.command(
        1,
        "dev1",
        Operation::cancel_observe(Path::resource(5, 0, 3)),
    );
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(
        (request.observe(), request.token().as_bytes()),
        (Some(1), &token[..])
    );
    sim.give(peer(1), text(&request, "0"));
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);
    assert_eq!(sim.ask(peer(1), notify(&token, 8, 20, "1"))[0], 0x70);

    let token = observe(&mut sim, 1);
    let gone = Msg::con(Code::NOT_FOUND, 9, &token);
    assert_eq!(sim.ask(peer(1), gone)[0], 0x60);
    assert_eq!(sim.ask(peer(1), notify(&token, 10, 2, "1"))[0], 0x70);
}

#[test]
fn observations_survive_a_restart_but_not_a_register() {
    let mut sim = registered();
    let token = observe(&mut sim, 10);
    let mut sim = sim.restart();
    sim.events.clear();
    assert_eq!(sim.ask(peer(1), notify(&token, 1, 3, "2")), [0x60, 0, 0, 1]);
    assert_eq!(notified(&mut sim), [2]);
    sim.register(peer(1), "dev1", 5);
    assert_eq!(sim.ask(peer(1), notify(&token, 2, 4, "2"))[0], 0x70);
}

#[test]
fn an_observation_that_ends_is_told() {
    let mut sim = registered();
    let token = observe(&mut sim, 10);
    sim.events.clear();
    let error = Msg::con(Code::NOT_FOUND, 1, &token);
    assert_eq!(sim.ask(peer(1), error), [0x60, 0, 0, 1]);
    let ended = |path: Path, code| Event::ObservationEnded {
        endpoint: "dev1".into(),
        target: path.into(),
        code,
    };
    assert_eq!(sim.events, [ended(Path::resource(5, 0, 3), Some(0x84))]);
    let mut sim = sim.restart();
    assert_eq!(
        sim.ask(peer(1), notify(&token, 2, 11, "1")),
        [0x70, 0, 0, 2]
    );

    // The oldest of too many.
    sim.limit_lifetime();
    for resource in 0..=Limits::default().observations as u16 {
        let path = Path::resource(3, 0, 100 + resource);
        sim.command(u64::from(resource), "dev1", Operation::observe(path));
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        let answer = Msg::ack(&request, Code::CONTENT).uint(OptionNumber::OBSERVE, 1);
        let answer = answer.uint(OptionNumber::CONTENT_FORMAT, 110);
        let json = format!("[{{\"bn\":\"/3/0/{}\",\"v\":1}}]", 100 + resource);
        sim.give(peer(1), answer.payload(json.as_bytes()));
    }
    sim.events
        .retain(|event| matches!(event, Event::ObservationEnded { .. }));
    assert_eq!(sim.events, [ended(Path::resource(3, 0, 100), None)]);
}

#[test]
fn values_have_the_times_that_the_device_gives() {
    let mut sim = registered();
    observe(&mut sim, 10);
    sim.command(2, "dev1", Operation::read(Path::instance(3303, 0)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    // RFC 8428: a time below 2^28 is relative to now.
    let senml = r#"[{"bn":"/3303/0/","n":"5700","v":1.5,"t":1600000000},
        {"n":"5700","v":2.5,"t":-20},{"n":"5700","v":3.5}]"#;
    let answer = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 110)
        .payload(senml.as_bytes());
    let now = sim.now.wall as f64 / 1000.0;
    sim.give(peer(1), answer);
    let outcomes = sim.outcomes();
    let Some((2, Outcome::Content(values))) = outcomes.last() else {
        panic!("{outcomes:?}")
    };
    let times: Vec<_> = values.iter().map(|v| v.time).collect();
    assert_eq!(times, [Some(1.6e9), Some(now - 20.0), None]);
    // With a base time, in a notification.
    let token = observe(&mut sim, 20);
    let senml = r#"[{"bn":"/5/0/3","bt":1600000000,"v":1,"t":5},{"v":2},{"bt":-60,"v":3,"t":20}]"#;
    let notification = Msg::con(Code::CONTENT, 8, &token)
        .uint(OptionNumber::OBSERVE, 21)
        .uint(OptionNumber::CONTENT_FORMAT, 110)
        .payload(senml.as_bytes());
    let now = sim.now.wall as f64 / 1000.0;
    sim.give(peer(1), notification);
    let Some(Event::Notified { values, .. }) = sim.events.last() else {
        panic!("{:?}", sim.events)
    };
    let times: Vec<_> = values.iter().map(|v| v.time).collect();
    assert_eq!(times, [Some(1.6e9 + 5.0), Some(1.6e9), Some(now - 40.0)]);
}
