//! Operations that are one job in a device's queue.

use std::collections::HashMap;

use lwm2m_objects::{OwnedValue, Path};

use super::*;

const INPUT: Path = Path::resource(27304, 0, 5);
const RUN: Path = Path::resource(27304, 0, 4);
const OUTPUT: Path = Path::resource(27304, 0, 6);

/// Write a sample, run it, read what came out.
fn inference(sample: &[u8]) -> Operation {
    let value = OwnedValue::Opaque(sample.to_vec());
    Operation::Unit(vec![
        Operation::write(INPUT, vec![(INPUT, value)], true),
        Operation::Execute {
            path: RUN,
            arguments: String::new(),
        },
        Operation::read(OUTPUT),
    ])
}

fn content(answer: &[u8]) -> Outcome {
    Outcome::Content(vec![(OUTPUT, OwnedValue::Opaque(answer.to_vec())).into()])
}

/// A device that has one place for an input and one for an output.
#[derive(Default)]
struct Pipeline {
    input: Vec<u8>,
    output: Vec<u8>,
    asked: Vec<String>,
}

impl Pipeline {
    fn answer(&mut self, request: &Message<'_>) -> Msg {
        let path = path_of(request);
        self.asked.push(path.clone());
        match path.as_str() {
            "/27304/0/5" => {
                self.input = request.payload().to_vec();
                Msg::ack(request, Code::CHANGED)
            }
            "/27304/0/4" => {
                self.output = self.input.iter().map(|byte| byte ^ 0xff).collect();
                Msg::ack(request, Code::CHANGED)
            }
            _ => Msg::ack(request, Code::CONTENT)
                .uint(OptionNumber::CONTENT_FORMAT, 42)
                .payload(&self.output),
        }
    }

    /// Answers everything.
    fn serve(&mut self, sim: &mut Sim) {
        while let Some((_, _, bytes)) = sim.sent.pop() {
            let answer = self.answer(&Message::parse(&bytes).unwrap());
            sim.give(peer(1), answer);
        }
    }
}

#[test]
fn every_asker_gets_the_answer_to_its_own_sample() {
    let mut sim = registered();
    let mut device = Pipeline::default();
    for id in 0..50_u8 {
        sim.command(u64::from(id), "dev1", inference(&[id, 7]));
        // Somebody else reads in between.
        sim.command(1000 + u64::from(id), "dev1", Operation::read(OUTPUT));
        if id % 3 == 0 {
            device.serve(&mut sim);
        }
    }
    device.serve(&mut sim);
    let outcomes: HashMap<u64, Outcome> = sim.outcomes().into_iter().collect();
    assert_eq!(outcomes.len(), 100);
    for id in 0..50_u8 {
        let answer = content(&[id ^ 0xff, 7 ^ 0xff]);
        let all = vec![Outcome::Done, Outcome::Done, answer.clone()];
        assert_eq!(outcomes[&u64::from(id)], Outcome::Unit(all));
        assert_eq!(outcomes[&(1000 + u64::from(id))], answer);
    }
    let rounds = device.asked.chunks(4);
    assert_eq!(rounds.len(), 50);
    for round in rounds {
        assert_eq!(
            round,
            ["/27304/0/5", "/27304/0/4", "/27304/0/6", "/27304/0/6"]
        );
    }
}

#[test]
fn an_input_of_many_blocks_is_part_of_the_unit() {
    let mut sim = registered();
    let body: Vec<u8> = (0..2500_u32).map(|n| n as u8).collect();
    let push = Operation::Push {
        path: INPUT,
        body: body.clone().into(),
        from: 0,
        tag: *b"deadbeef",
    };
    let unit = Operation::Unit(vec![push, Operation::read(OUTPUT)]);
    sim.command(1, "dev1", unit);
    sim.command(2, "dev1", Operation::read(OUTPUT));
    let mut received = Vec::new();
    let mut order = Vec::new();
    while let Some((_, _, bytes)) = sim.sent.pop() {
        let request = Message::parse(&bytes).unwrap();
        order.push(path_of(&request));
        let answer = match request.block1().unwrap() {
            Some(block) => {
                received.extend_from_slice(request.payload());
                let code = if block.more {
                    Code::CONTINUE
                } else {
                    Code::CHANGED
                };
                let value = block.num << 4 | u32::from(block.more) << 3 | 6;
                Msg::ack(&request, code).uint(OptionNumber::BLOCK1, value)
            }
            None => Msg::ack(&request, Code::CONTENT)
                .uint(OptionNumber::CONTENT_FORMAT, 42)
                .payload(b"out"),
        };
        sim.give(peer(1), answer);
    }
    assert_eq!(received, body);
    assert_eq!(order.iter().filter(|p| *p == "/27304/0/5").count(), 3);
    assert!(order[..3].iter().all(|path| path == "/27304/0/5"));
    let unit = Outcome::Unit(vec![Outcome::Done, content(b"out")]);
    assert_eq!(sim.outcomes(), [(1, unit), (2, content(b"out"))]);
}

#[test]
fn it_ends_at_the_first_that_is_not_a_success() {
    let mut sim = registered();
    sim.command(1, "dev1", inference(b"a"));
    sim.command(2, "dev1", Operation::read(OUTPUT));
    let write = sim.take_one();
    sim.give(
        peer(1),
        Msg::ack(&Message::parse(&write).unwrap(), Code::CHANGED),
    );
    let run = sim.take_one();
    let run = Message::parse(&run).unwrap();
    assert_eq!(path_of(&run), "/27304/0/4");
    sim.give(peer(1), Msg::ack(&run, Code::METHOD_NOT_ALLOWED));
    let refused = Outcome::Rejected {
        code: 0x85,
        diagnostic: String::new(),
    };
    let unit = Outcome::Unit(vec![Outcome::Done, refused]);
    assert!(!unit.is_success());
    assert_eq!(sim.outcomes(), [(1, unit)]);
    let next = sim.take_one();
    assert_eq!(path_of(&Message::parse(&next).unwrap()), "/27304/0/6");
}

#[test]
fn the_registration_may_end_under_it() {
    let mut sim = registered();
    sim.command(1, "dev1", inference(b"a"));
    let write = sim.take_one();
    sim.give(
        peer(1),
        Msg::ack(&Message::parse(&write).unwrap(), Code::CHANGED),
    );
    sim.sent.clear();
    sim.register(peer(1), "dev1", 9);
    let outcomes = sim.outcomes();
    let [(1, Outcome::Unit(all))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert!(
        matches!(&all[..], [Outcome::Done, Outcome::Cancelled(_)]),
        "{all:?}"
    );
}

#[test]
fn each_operation_has_the_time_that_was_given() {
    let mut sim = registered();
    sim.limit_lifetime();
    let request = DeviceRequest {
        id: RequestId(1),
        endpoint: "dev1".into(),
        operation: inference(b"a"),
        expires: sim.now.wall + 10_000,
        durable: false,
    };
    sim.shard.handle(sim.now, Input::Command(request));
    sim.drain();
    for _ in 0..2 {
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        let [high, low] = request.message_id().to_be_bytes();
        sim.inbound(MANAGEMENT, peer(1), &[0x60, 0, high, low]);
        sim.advance(8_000);
        let answer = Msg::con(Code::CHANGED, 70, request.token().as_bytes());
        sim.give(
            peer(1),
            Msg {
                id: 70 + u16::from(low),
                ..answer
            },
        );
        // Our acknowledgement.
        sim.sent.retain(|(.., bytes)| bytes[1] != 0);
    }
    sim.sent.clear();
    assert_eq!(sim.outcomes(), []);
    sim.advance(10_000);
    let unit = Outcome::Unit(vec![Outcome::Done, Outcome::Done, Outcome::Expired]);
    assert_eq!(sim.outcomes(), [(1, unit)]);
}

#[test]
fn what_can_not_be_a_unit_is_refused() {
    let mut sim = registered();
    let read = || Operation::read(OUTPUT);
    let nested = Operation::Unit(vec![Operation::Unit(vec![read()])]);
    let many = Operation::Unit(vec![read(); MAX_UNIT + 1]);
    let cases = [
        (Operation::Unit(Vec::new()), false, "1 to 16"),
        (many, false, "1 to 16"),
        (nested, false, "no units in units"),
        (Operation::Unit(vec![read()]), true, "can't be kept"),
    ];
    for (id, (operation, durable, words)) in (1..).zip(cases) {
        sim.ask_device(id, "dev1", operation, durable);
        let outcomes = sim.outcomes();
        let [(found, Outcome::Unit(all))] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(*found, id);
        assert!(
            matches!(&all[..], [Outcome::Cancelled(why)] if why.contains(words)),
            "{all:?}"
        );
        assert!(sim.sent.is_empty());
    }
    sim.command(9, "nobody", Operation::Unit(vec![read()]));
    let unit = Outcome::Unit(vec![Outcome::NotRegistered]);
    assert_eq!(sim.outcomes(), [(9, unit)]);
}
