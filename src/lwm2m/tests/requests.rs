//! Requests to devices, block-wise transfer, observations.

use std::sync::Arc;

use lwm2m_objects::{ContentFormat, OwnedValue, Path, format};
use tinsmith_coap::Numbering;
use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Verdict};
use tinsmith_coap::{Endpoint as Coap, Instant, Output as CoapOutput, Parameters, Received, Szx};

use super::*;

const MODEL: Path = Path::resource(3, 0, 1);

fn registered() -> Sim {
    let mut sim = Sim::new();
    sim.register(peer(1), "dev1", 1);
    sim.events.clear();
    sim
}

fn text(request: &Message<'_>, payload: &str) -> Msg {
    Msg::ack(request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(payload.as_bytes())
}

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

impl Sim {
    /// So that the registration outlives the test.
    fn limit_lifetime(&mut self) {
        let location = format!("rd/{}", self.shard.registration("dev1").unwrap().location);
        let update = Msg::con(Code::POST, 900, b"lt")
            .path(&location)
            .query("lt=100000");
        assert_eq!(code(&self.ask(peer(1), update)), Code::CHANGED);
        self.events.clear();
    }
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

/// The device's end of a push, over a network that loses and repeats.
struct Receiver {
    coap: Coap<Vec<u8>, Vec<u8>, 2, 4>,
    assembler: Assembler,
    body: Vec<u8>,
    refuse_at: Option<(u32, Code)>,
}

impl Receiver {
    fn new(szx: u8) -> Self {
        let limits = AssemblerLimits {
            max_body: 1 << 20,
            preferred: Szx::new(szx).unwrap(),
            lifetime_ms: None,
        };
        Receiver {
            coap: Coap::new(Parameters::RFC7252, Numbering::ALL, 1),
            assembler: Assembler::new(limits),
            body: Vec::new(),
            refuse_at: None,
        }
    }

    fn take(&mut self, now: Instant, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut out = [0; 1280];
        let mut answers = Vec::new();
        if let Received::Request { handle, message } = self.coap.handle(now, datagram) {
            assert_eq!(message.content_format(), Some(42));
            assert_eq!(message.request_tag(), Some(&b"deadbeef"[..]));
            let incoming = Incoming::of(&message).unwrap();
            let (code, reply) = match self.assembler.check(now, &incoming) {
                Verdict::Deliver {
                    offset,
                    chunk,
                    last,
                    reply,
                } => match self.refuse_at {
                    Some((at, code)) if offset >= at => (code, None),
                    _ => {
                        self.body.truncate(offset as usize);
                        self.body.extend_from_slice(chunk);
                        self.assembler.advance(now, &incoming);
                        (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
                    }
                },
                Verdict::Duplicate { last, reply } => {
                    (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
                }
                Verdict::Refuse(refusal) => (refusal.code(), None),
                Verdict::Another => (Code::METHOD_NOT_ALLOWED, None),
            };
            let made = self
                .coap
                .respond(now, handle, code, &mut out, |b| {
                    if let Some(block) = reply {
                        b.block(OptionNumber::BLOCK1, block)?;
                    }
                    Ok(())
                })
                .unwrap();
            answers.push(out[..made.len].to_vec());
        }
        while let Some(output) = self.coap.poll(now, &mut out) {
            if let CoapOutput::Transmit(len) = output {
                answers.push(out[..len].to_vec());
            }
        }
        answers
    }
}

/// Runs until the push has an outcome; `loses(n)` says whether the n-th datagram is lost.
fn run(sim: &mut Sim, device: &mut Receiver, loses: &mut dyn FnMut() -> bool) -> Outcome {
    for _ in 0..100_000 {
        if sim.sent.is_empty() {
            let next = sim.shard.next_deadline().unwrap();
            sim.advance((next - sim.now.mono).max(1));
        }
        for (_, _, datagram) in std::mem::take(&mut sim.sent) {
            if loses() {
                continue;
            }
            let copies = if loses() { 2 } else { 1 };
            for _ in 0..copies {
                for answer in device.take(Instant::from_millis(sim.now.mono), &datagram) {
                    if !loses() {
                        sim.inbound(MANAGEMENT, peer(1), &answer);
                    }
                }
            }
        }
        if let Some((_, outcome)) = sim.outcomes().pop() {
            return outcome;
        }
    }
    panic!("no outcome");
}

fn push(sim: &mut Sim, body: &Arc<[u8]>, from: u32) {
    let operation = Operation::Push {
        path: Path::resource(5, 0, 0),
        body: Arc::clone(body).into(),
        from,
        tag: *b"deadbeef",
    };
    sim.command(77, "dev1", operation);
}

fn body(len: usize) -> Arc<[u8]> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

fn progress(sim: &Sim) -> Vec<u32> {
    let sent = sim.events.iter().filter_map(|event| match event {
        Event::Progress { sent, .. } => Some(*sent),
        _ => None,
    });
    sent.collect()
}

#[test]
fn push_in_blocks_with_progress() {
    for (szx, blocks) in [(6, 9), (2, 100)] {
        let mut sim = registered();
        sim.limit_lifetime();
        let body = body(10_000);
        let mut device = Receiver::new(szx);
        push(&mut sim, &body, 0);
        assert_eq!(run(&mut sim, &mut device, &mut || false), Outcome::Done);
        assert_eq!(device.body[..], body[..]);
        let progress = progress(&sim);
        assert!(progress.windows(2).all(|w| w[0] < w[1]));
        assert!(progress.len() >= blocks, "{}", progress.len());
    }
}

#[test]
fn push_under_loss_and_duplication() {
    for seed in 1..6u64 {
        let mut sim = registered();
        sim.limit_lifetime();
        let body = body(20_000);
        let mut device = Receiver::new(6);
        let mut state = seed;
        let mut loses = move || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) % 100 < 15
        };
        push(&mut sim, &body, 0);
        assert_eq!(
            run(&mut sim, &mut device, &mut loses),
            Outcome::Done,
            "seed {seed}"
        );
        assert_eq!(device.body[..], body[..]);
    }
}

#[test]
fn push_goes_on_from_where_it_was() {
    let mut sim = registered();
    let body = body(10_000);
    let mut device = Receiver::new(6);
    device.refuse_at = Some((5120, Code::SERVICE_UNAVAILABLE));
    push(&mut sim, &body, 0);
    let outcome = run(&mut sim, &mut device, &mut || false);
    assert_eq!(
        outcome,
        Outcome::Rejected {
            code: 0xa3,
            diagnostic: String::new()
        }
    );
    device.refuse_at = None;
    sim.events.clear();
    push(&mut sim, &body, 5120);
    assert_eq!(run(&mut sim, &mut device, &mut || false), Outcome::Done);
    assert_eq!(device.body[..], body[..]);
    assert_eq!(progress(&sim).first(), Some(&6144));
}

#[test]
fn push_refused_in_the_middle_stops() {
    for (refusal, byte) in [
        (Code::REQUEST_ENTITY_TOO_LARGE, 0x8d),
        (Code::REQUEST_ENTITY_INCOMPLETE, 0x88),
        (Code::METHOD_NOT_ALLOWED, 0x85),
    ] {
        let mut sim = registered();
        let mut device = Receiver::new(6);
        device.refuse_at = Some((3072, refusal));
        push(&mut sim, &body(10_000), 0);
        let outcome = run(&mut sim, &mut device, &mut || false);
        assert_eq!(
            outcome,
            Outcome::Rejected {
                code: byte,
                diagnostic: String::new()
            }
        );
        assert!(sim.sent.is_empty());
        assert_eq!(progress(&sim).last(), Some(&3072));
    }
}

#[test]
fn a_push_may_take_longer_than_its_expiry_but_a_block_may_not_hang() {
    let mut sim = registered();
    sim.limit_lifetime();
    let body = body(10_000);
    let mut device = Receiver::new(6);
    push(&mut sim, &body, 0);
    // Each block takes 12 s: 120 s in all, the request expires after 100 s.
    let mut n = 0;
    let mut slow = || {
        n += 1;
        n % 4 != 3 && n % 4 != 0
    };
    let outcome = run(&mut sim, &mut device, &mut slow);
    assert!(
        matches!(outcome, Outcome::Done | Outcome::TimedOut { .. }),
        "{outcome:?}"
    );

    let mut sim = registered();
    sim.limit_lifetime();
    push(&mut sim, &body, 0);
    let first = sim.take_one();
    for answer in Receiver::new(6).take(Instant::from_millis(sim.now.mono), &first) {
        sim.inbound(MANAGEMENT, peer(1), &answer);
    }
    sim.advance(100_000);
    assert_eq!(sim.outcomes(), [(77, Outcome::TimedOut { sent: 1024 })]);
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
