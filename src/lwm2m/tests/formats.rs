//! Answers and notifications in formats that are ours, or not.

use lwm2m_objects::{OwnedValue, Path};

use super::*;

const STATE: Path = Path::resource(5, 0, 3);

fn registered_with(version: &str, formats: &str) -> Sim {
    let mut sim = Sim::new();
    let links = format!("</>;rt=\"oma.lwm2m\";ct={formats},</1/0>,</3/0>,</5/0>");
    let message = Msg::con(Code::POST, 1, b"t")
        .path("rd")
        .query(&format!("ep=dev1&lt=60&lwm2m={version}&b=U"))
        .payload(links.as_bytes());
    created(&sim.ask(peer(1), message));
    sim.events.clear();
    sim
}

/// Takes the next request, which asks for this format, and answers in another.
fn answer(sim: &mut Sim, asked: Option<u16>, code: Code, format: u16, payload: &[u8]) -> Vec<u8> {
    let bytes = sim.take_one();
    let request = Message::parse(&bytes).unwrap();
    assert_eq!(request.accept(), asked);
    let mut answer = Msg::ack(&request, code);
    if request.observe() == Some(0) {
        answer = answer.uint(OptionNumber::OBSERVE, 1);
    }
    let answer = answer.uint(OptionNumber::CONTENT_FORMAT, format.into());
    sim.give(peer(1), answer.payload(payload));
    bytes
}

fn content(path: Path, value: i64) -> Outcome {
    Outcome::Content(vec![(path, OwnedValue::Integer(value)).into()])
}

#[test]
fn a_device_of_each_version_is_read_in_its_default_format() {
    let path = Path::resource(3, 0, 9);
    for (version, format, payload) in [
        ("1.0", 11542, &[0xc1, 9, 77][..]),
        ("1.1", 112, b"\x81\xa2\x21\x66/3/0/9\x02\x18\x4d"),
        // {3: {0: {9: 77}}} and {[3, 0, 9]: 77}
        (
            "1.2",
            11544,
            b"\xbf\x03\xbf\x00\xbf\x09\x18\x4d\xff\xff\xff",
        ),
        ("1.2", 11544, b"\xa1\x83\x03\x00\x09\x18\x4d"),
    ] {
        let mut sim = registered_with(version, &format.to_string());
        sim.command(1, "dev1", Operation::read(Path::instance(3, 0)));
        answer(&mut sim, None, Code::CONTENT, format, payload);
        assert_eq!(sim.outcomes(), [(1, content(path, 77))], "{version}");
    }
    // And written to in it, if it takes no other.
    let mut sim = registered_with("1.2", "11544");
    let values = vec![(Path::resource(1, 0, 1), OwnedValue::Integer(60))];
    sim.command(
        2,
        "dev1",
        Operation::write(Path::instance(1, 0), values, false),
    );
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(request.content_format(), Some(11544));
    assert_eq!(
        request.payload(),
        b"\xbf\x01\xbf\x00\xbf\x01\x18\x3c\xff\xff\xff"
    );
}

#[test]
fn an_answer_in_a_foreign_format_is_asked_for_in_ours() {
    let mut sim = registered_with("1.0", "11543");
    sim.command(1, "dev1", Operation::observe(STATE));
    answer(
        &mut sim,
        None,
        Code::CONTENT,
        11543,
        br#"{"bn":"/5/0/3","e":[{"v":2}]}"#,
    );
    answer(&mut sim, Some(11542), Code::CONTENT, 11543, b"{}");
    answer(&mut sim, Some(112), Code::NOT_ACCEPTABLE, 0, b"");
    let json = br#"[{"bn":"/5/0/3","v":2}]"#;
    let last = answer(&mut sim, Some(11544), Code::CONTENT, 110, json);
    assert_eq!(sim.outcomes(), [(1, content(STATE, 2))]);
    // The last of them is what is observed.
    let token = Message::parse(&last).unwrap().token().as_bytes().to_vec();
    let notification = Msg::con(Code::CONTENT, 9, &token)
        .uint(OptionNumber::OBSERVE, 2)
        .uint(OptionNumber::CONTENT_FORMAT, 110)
        .payload(json);
    assert_eq!(sim.ask(peer(1), notification), [0x60, 0, 0, 9]);
    assert!(matches!(sim.events[..], [Event::Notified { .. }]));

    let mut sim = registered_with("1.1", "11543");
    sim.command(1, "dev1", Operation::read(STATE));
    for asked in [None, Some(112), Some(11542), Some(11544), Some(110)] {
        answer(&mut sim, asked, Code::CONTENT, 11543, b"{}");
    }
    let outcomes = sim.outcomes();
    assert!(
        matches!(&outcomes[..], [(1, Outcome::Malformed(why))] if why.contains("json")),
        "{outcomes:?}"
    );
}

#[test]
fn a_notification_that_can_not_be_read_is_told() {
    let mut sim = registered();
    sim.command(1, "dev1", Operation::observe(STATE));
    let request = answer(&mut sim, None, Code::CONTENT, 0, b"0");
    let token = Message::parse(&request)
        .unwrap()
        .token()
        .as_bytes()
        .to_vec();
    assert_eq!(sim.outcomes(), [(1, content(STATE, 0))]);
    sim.events.clear();
    let notify = |id: u16, format: u32, payload: &[u8]| {
        Msg::con(Code::CONTENT, id, &token)
            .uint(OptionNumber::OBSERVE, id.into())
            .uint(OptionNumber::CONTENT_FORMAT, format)
            .payload(payload)
    };
    for (id, format, payload, error) in [
        (2, 11543, &b"{}"[..], "lwm2m+json is not supported"),
        (3, 0, b"x", "not a number"),
        (4, 112, b"\x81", "too early"),
    ] {
        sim.ask(peer(1), notify(id, format, payload));
        match &sim.events[..] {
            [
                Event::Unreadable {
                    endpoint,
                    target,
                    error: why,
                },
            ] => {
                assert_eq!((&**endpoint, target.path()), ("dev1", Some(&STATE)));
                assert!(why.contains(error), "{why}");
            }
            other => panic!("{other:?}"),
        }
        sim.events.clear();
    }
    sim.ask(peer(1), notify(5, 0, b"3"));
    assert!(matches!(sim.events[..], [Event::Notified { .. }]));
}

#[test]
fn values_without_an_observation_are_not_observed() {
    let mut sim = registered();
    sim.command(1, "dev1", Operation::observe(STATE));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(peer(1), text(&request, "1"));
    let values = vec![(STATE, OwnedValue::Integer(1)).into()];
    assert_eq!(sim.outcomes(), [(1, Outcome::NotObserved(values.clone()))]);
    assert!(!Outcome::NotObserved(values).is_success());
    let notification = Msg::con(Code::CONTENT, 9, request.token().as_bytes())
        .uint(OptionNumber::OBSERVE, 2)
        .payload(b"2");
    assert_eq!(
        sim.ask(peer(1), notification),
        [0x70, 0, 0, 9],
        "nobody asked"
    );
}
