//! Requests to devices, and the ways they end.

use std::sync::Arc;

use lwm2m_objects::{ContentFormat, OwnedValue, Path, format};

use super::*;

const MODEL: Path = Path::resource(3, 0, 1);

#[test]
fn read_and_the_ways_it_ends() {
    let mut sim = registered();
    sim.command(1, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(
        (request.code(), path_of(&request).as_str()),
        (Code::GET, "/3/0/1")
    );
    sim.give(peer(1), text(&request, "nRF52840"));
    let value = OwnedValue::String("nRF52840".into());
    assert_eq!(
        sim.outcomes(),
        [(1, Outcome::Content(vec![(MODEL, value).into()]))]
    );

    sim.command(2, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(
        peer(1),
        Msg::ack(&request, Code::METHOD_NOT_ALLOWED).payload(b"no"),
    );
    let outcome = Outcome::Rejected {
        code: 0x85,
        diagnostic: "no".into(),
    };
    assert_eq!(sim.outcomes(), [(2, outcome)]);

    sim.command(3, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let [high, low] = request.message_id().to_be_bytes();
    sim.inbound(MANAGEMENT, peer(1), &[0x70, 0, high, low]);
    assert_eq!(sim.outcomes(), [(3, Outcome::Reset)]);

    sim.command(4, "dev1", Operation::read(Path::object(3)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let junk = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 11542)
        .payload(&[0xff; 3]);
    sim.give(peer(1), junk);
    assert!(matches!(sim.outcomes()[..], [(4, Outcome::Malformed(_))]));

    sim.command(5, "nobody", Operation::read(MODEL));
    assert_eq!(sim.outcomes(), [(5, Outcome::NotRegistered)]);
}

#[test]
fn a_separate_response_is_acknowledged() {
    let mut sim = registered();
    sim.command(1, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    let [high, low] = request.message_id().to_be_bytes();
    sim.inbound(MANAGEMENT, peer(1), &[0x60, 0, high, low]);
    assert!(sim.sent.is_empty());
    sim.advance(20_000);
    assert!(
        sim.sent.is_empty(),
        "no retransmission after the acknowledgement"
    );
    let answer = Msg::con(Code::CONTENT, 77, request.token().as_bytes()).payload(b"x");
    let ack = sim.ask(peer(1), answer.clone());
    assert_eq!(ack, [0x60, 0, 0, 77]);
    assert_eq!(sim.outcomes().len(), 1);
    // Our ACK was lost.
    assert_eq!(sim.ask(peer(1), answer), [0x60, 0, 0, 77]);
    assert!(sim.outcomes().is_empty());
}

#[test]
fn a_device_that_wants_to_be_asked_for_a_format() {
    let mut sim = registered();
    let path = Path::resource(5, 0, 3);
    sim.command(1, "dev1", Operation::observe(path));
    for expected in [None, Some(112), Some(11542)] {
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        assert_eq!((request.observe(), request.accept()), (Some(0), expected));
        if expected == Some(11542) {
            let answer = Msg::ack(&request, Code::CONTENT)
                .uint(OptionNumber::OBSERVE, 1)
                .uint(OptionNumber::CONTENT_FORMAT, 11542)
                .payload(&[0xc1, 3, 2]);
            sim.give(peer(1), answer);
        } else {
            sim.give(peer(1), Msg::ack(&request, Code::NOT_ACCEPTABLE));
        }
    }
    let content = Outcome::Content(vec![(path, OwnedValue::Integer(2)).into()]);
    assert_eq!(sim.outcomes(), [(1, content)]);
    let mut sim = sim.restart();
    sim.command(2, "dev1", Operation::cancel_observe(path));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(
        (request.observe(), request.accept()),
        (Some(1), Some(11542))
    );
}

#[test]
fn an_acknowledgement_without_a_response() {
    let mut sim = registered();
    sim.limit_lifetime();
    sim.command(1, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    sim.inbound(MANAGEMENT, peer(1), &[0x60, 0, request[2], request[3]]);
    sim.advance(59_000);
    assert!(sim.outcomes().is_empty());
    sim.advance(2_000);
    assert_eq!(sim.outcomes(), [(1, Outcome::TimedOut { sent: 0 })]);
}

#[test]
fn no_answer_expiry_and_withdrawal() {
    let mut sim = registered();
    sim.limit_lifetime();
    sim.command(1, "dev1", Operation::read(MODEL));
    sim.command(2, "dev1", Operation::read(MODEL));
    sim.command(3, "dev1", Operation::read(MODEL));
    assert_eq!(sim.sent.len(), 1, "NSTART is 1");
    sim.shard.handle(sim.now, Input::Withdraw(RequestId(2)));
    sim.drain();
    assert!(matches!(sim.outcomes()[..], [(2, Outcome::Cancelled(_))]));
    sim.advance(93_500);
    assert_eq!(sim.outcomes(), [(1, Outcome::TimedOut { sent: 0 })]);
    sim.advance(7_000);
    assert_eq!(sim.outcomes(), [(3, Outcome::Expired)]);
}

#[test]
fn the_queue_has_a_limit() {
    let mut sim = registered();
    for id in 0..100 {
        sim.command(id, "dev1", Operation::read(MODEL));
    }
    let refused = sim.outcomes();
    assert_eq!(refused.len(), 100 - 1 - Limits::default().queue);
}

#[test]
fn a_long_answer_is_put_together() {
    let mut sim = registered();
    let whole: Vec<u8> = (0..100).map(|i| b'a' + i % 26).collect();
    sim.command(1, "dev1", Operation::read(MODEL));
    for (num, block) in whole.chunks(32).enumerate() {
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        if num > 0 {
            assert_eq!(request.block2().unwrap().unwrap().num as usize, num);
        }
        let more = u32::from((num + 1) * 32 < whole.len());
        let answer = Msg::ack(&request, Code::CONTENT)
            .option(OptionNumber::ETAG, b"v1")
            .uint(OptionNumber::CONTENT_FORMAT, 0)
            .uint(OptionNumber::BLOCK2, (num as u32) << 4 | more << 3 | 1)
            .payload(block);
        sim.give(peer(1), answer);
    }
    let text = String::from_utf8(whole).unwrap();
    assert_eq!(
        sim.outcomes(),
        [(
            1,
            Outcome::Content(vec![(MODEL, OwnedValue::String(text)).into()])
        )]
    );
}

#[test]
fn write_tries_the_next_format_and_remembers() {
    let mut sim = registered();
    let path = Path::instance(1, 0);
    let values = vec![
        (Path::resource(1, 0, 1), OwnedValue::Integer(60)),
        (Path::resource(1, 0, 6), OwnedValue::Boolean(true)),
    ];
    let write = Operation::write(path, values, false);
    sim.command(1, "dev1", write.clone());
    let first = sim.take_one();
    let first = Message::parse(&first).unwrap();
    assert_eq!(
        (first.code(), first.content_format()),
        (Code::POST, Some(112))
    );
    sim.give(peer(1), Msg::ack(&first, Code::UNSUPPORTED_CONTENT_FORMAT));
    let second = sim.take_one();
    let second = Message::parse(&second).unwrap();
    assert_eq!(second.content_format(), Some(11542));
    let values = format::decode_all(
        ContentFormat::TLV,
        &path,
        second.payload(),
        &lwm2m_objects::model::Builtin,
    );
    assert_eq!(values.unwrap().len(), 2);
    sim.give(peer(1), Msg::ack(&second, Code::CHANGED));
    assert_eq!(sim.outcomes(), [(1, Outcome::Done)]);

    sim.command(2, "dev1", write);
    let third = sim.take_one();
    assert_eq!(
        Message::parse(&third).unwrap().content_format(),
        Some(11542)
    );
}

#[test]
fn execute_discover_and_a_single_write() {
    let mut sim = registered();
    let path = Path::resource(5, 0, 2);
    sim.command(
        1,
        "dev1",
        Operation::Execute {
            path,
            arguments: "0='x'".into(),
        },
    );
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(
        (request.code(), request.payload()),
        (Code::POST, &b"0='x'"[..])
    );
    sim.give(peer(1), Msg::ack(&request, Code::CHANGED));
    sim.command(
        2,
        "dev1",
        Operation::Discover {
            path: Path::object(5),
        },
    );
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(request.accept(), Some(40));
    let links = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 40)
        .payload(b"</5/0/1>,</5/0/2>");
    sim.give(peer(1), links);
    let values = vec![(Path::resource(5, 0, 1), OwnedValue::String(String::new()))];
    let path = Path::resource(5, 0, 1);
    sim.command(3, "dev1", Operation::write(path, values, true));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(
        (request.code(), request.content_format()),
        (Code::PUT, Some(0))
    );
    sim.give(peer(1), Msg::ack(&request, Code::CHANGED));
    let links = Outcome::Links("</5/0/1>,</5/0/2>".into());
    assert_eq!(
        sim.outcomes(),
        [(1, Outcome::Done), (2, links), (3, Outcome::Done)]
    );
}

#[test]
fn a_new_register_cancels_what_is_open() {
    let mut sim = registered();
    sim.command(1, "dev1", Operation::read(MODEL));
    sim.command(2, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    sim.register(peer(1), "dev1", 2);
    let outcomes = sim.outcomes();
    assert_eq!(outcomes.len(), 2);
    assert!(
        outcomes
            .iter()
            .all(|(_, o)| matches!(o, Outcome::Cancelled(_)))
    );
    // The answer to the old request is nobody's.
    sim.give(peer(1), text(&Message::parse(&request).unwrap(), "late"));
    assert!(sim.outcomes().is_empty());
    sim.command(3, "dev1", Operation::read(MODEL));
    let request = sim.take_one();
    sim.give(peer(1), text(&Message::parse(&request).unwrap(), "new"));
    assert_eq!(sim.outcomes().len(), 1);
}

#[test]
fn message_ids_begin_anywhere_and_only_come_again_after_all_others() {
    let mut firsts = std::collections::HashSet::new();
    for seed in 0..32 {
        let mut sim = Sim::new();
        sim.shard = Shard::new(ShardConfig {
            seed: [seed; 32],
            ..config()
        });
        sim.register(peer(1), "dev1", 1);
        let mut seen = std::collections::HashSet::new();
        // Every id for a while with one shard; the whole circle would take long.
        for n in 0..if seed == 0 { 6_000 } else { 1 } {
            sim.command(n, "dev1", Operation::read(MODEL));
            let request = sim.take_one();
            let request = Message::parse(&request).unwrap();
            assert!(seen.insert(request.message_id()));
            if n == 0 {
                firsts.insert(request.message_id());
            }
            sim.give(peer(1), text(&request, "x"));
        }
    }
    assert!(firsts.len() > 28, "{firsts:?}");
}

#[test]
fn several_paths_are_carried_and_refused() {
    let mut sim = registered();
    let both = Target::new(&[MODEL, Path::resource(3, 0, 0)]).unwrap();
    sim.ask_device(1, "dev1", Operation::read(both), true);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Cancelled(_))]));
    assert!(sim.sent.is_empty());
}

/// Knows no object at all.
struct Nothing;

impl lwm2m_objects::model::Models for Nothing {
    fn object(
        &self,
        _: u16,
        _: Option<lwm2m_objects::model::Version>,
    ) -> Option<&lwm2m_objects::model::ObjectModel> {
        None
    }
}

#[test]
fn each_registration_has_its_own_definitions() {
    let battery = |sim: &mut Sim, endpoint: &str, id: u64| {
        sim.sent.clear();
        let path = Path::resource(3, 0, 9);
        sim.command(id, endpoint, Operation::read(path));
        let (_, to, request) = sim.sent.pop().unwrap();
        let request = Message::parse(&request).unwrap();
        sim.give(to, text(&request, "17"));
        match sim.outcomes().remove(0) {
            (_, Outcome::Content(mut values)) => values.remove(0).value,
            other => panic!("{other:?}"),
        }
    };
    let nothing: Models = Arc::new(Nothing);
    let builtin: Models = Arc::new(lwm2m_objects::model::Builtin);
    let mut sim = Sim::new();
    sim.shard = Shard::new(ShardConfig {
        models: ModelSource::new(move |registration| {
            let own = &*registration.endpoint == "dev2";
            Arc::clone(if own { &nothing } else { &builtin })
        }),
        ..config()
    });
    for (n, name) in ["dev1", "dev2"].iter().enumerate() {
        sim.register(peer(n as u16 + 1), name, 1);
    }
    assert_eq!(battery(&mut sim, "dev1", 1), OwnedValue::Integer(17));
    let text = OwnedValue::String("17".into());
    assert_eq!(battery(&mut sim, "dev2", 2), text);
    // The default source: the same definitions for all.
    let mut sim = sim.restart();
    assert_eq!(battery(&mut sim, "dev2", 3), OwnedValue::Integer(17));
}
