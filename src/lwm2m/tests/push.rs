//! A file that is pushed block by block.

use std::sync::Arc;

use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Verdict};
use tinsmith_coap::{
    Endpoint as Coap, Instant, Numbering, Output as CoapOutput, Parameters, Received, Szx,
};

use super::*;

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
fn a_device_that_has_lost_blocks_gets_the_body_once_more() {
    let mut sim = registered();
    sim.limit_lifetime();
    let body = body(10_000);
    push(&mut sim, &body, 0);
    for num in [0, 1, 2, 0] {
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        let block = request.block1().unwrap().unwrap();
        assert_eq!(block.num, num);
        let answer = match num {
            2 => Msg::ack(&request, Code::REQUEST_ENTITY_INCOMPLETE),
            _ => Msg::ack(&request, Code::CONTINUE)
                .uint(OptionNumber::BLOCK1, block.num << 4 | 8 | 6),
        };
        sim.give(peer(1), answer);
    }
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    assert_eq!(request.block1().unwrap().unwrap().num, 1);
    sim.give(peer(1), Msg::ack(&request, Code::REQUEST_ENTITY_INCOMPLETE));
    let again = Outcome::Rejected {
        code: Code::REQUEST_ENTITY_INCOMPLETE.byte(),
        diagnostic: String::new(),
    };
    assert_eq!(sim.outcomes(), [(77, again)], "not for ever");
}

/// Writes a long value in blocks of 16 bytes, each of which takes 20 s; how it ends, and the block
/// after which the device was silent.
fn write_slowly(silent_after: u32) -> (Option<Outcome>, u32) {
    let mut sim = registered();
    sim.limit_lifetime();
    let path = Path::resource(5, 0, 1);
    let uri = OwnedValue::String("coap://example.org/".repeat(20));
    sim.command(1, "dev1", Operation::write(path, vec![(path, uri)], true));
    for _ in 0..100 {
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        // The first goes whole, until the device says how large a block may be.
        let asked = request.block1().unwrap();
        let small = Szx::new(0).unwrap();
        let num = asked.map_or(0, |b| b.num);
        if asked.is_some() && num > silent_after {
            sim.advance(120_000);
            return (sim.outcomes().pop().map(|(_, outcome)| outcome), num);
        }
        // Heard at once, answered late.
        let [high, low] = request.message_id().to_be_bytes();
        sim.inbound(MANAGEMENT, peer(1), &[0x60, 0, high, low]);
        sim.advance(20_000);
        let more = asked.is_some_and(|b| b.more);
        let code = match asked {
            None => Code::REQUEST_ENTITY_TOO_LARGE,
            Some(_) if more => Code::CONTINUE,
            Some(_) => Code::CHANGED,
        };
        let id = 1_000 + (num as u16) * 2 + u16::from(asked.is_some());
        let answer = Msg::con(code, id, request.token().as_bytes()).uint(
            OptionNumber::BLOCK1,
            num << 4 | u32::from(more) << 3 | u32::from(small.exponent()),
        );
        sim.give(peer(1), answer);
        // Our acknowledgement.
        sim.sent.retain(|(.., bytes)| bytes[1] != 0);
        if let Some((_, outcome)) = sim.outcomes().pop() {
            return (Some(outcome), num);
        }
    }
    panic!("no end");
}

#[test]
fn a_write_in_blocks_lives_as_long_as_it_makes_progress() {
    // 24 blocks of 20 s; the request expires after 100 s.
    assert_eq!(write_slowly(u32::MAX), (Some(Outcome::Done), 23));
    let (outcome, at) = write_slowly(9);
    assert!(
        matches!(outcome, Some(Outcome::TimedOut { .. })),
        "{outcome:?}"
    );
    assert_eq!(at, 10);
}
