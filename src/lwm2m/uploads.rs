//! Payloads of Registers and Updates that come block-wise (RFC 7959), before anybody is known.

use std::sync::Arc;

use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Refusal, Verdict};
use tinsmith_coap::{Block, Code, Instant, Message, OptionNumber, Szx};

use super::hash::HashMap;
use super::quota::{Bounds, Quota};
use super::{Limits, ListenerId, Peer};

/// How long a device may take from block to block, in milliseconds.
const LIFETIME: u32 = 120_000;

/// Whose body, and for what.
type Name = (ListenerId, Peer, Arc<[u8]>);

struct Upload {
    assembler: Assembler,
    body: Vec<u8>,
}

/// Bodies under way, bounded in number and size.
pub(super) struct Uploads {
    bodies: HashMap<Name, Upload>,
    /// Those of peers that proved nothing.
    strangers: Quota<Name>,
    /// Those of others.
    known: Quota<Name>,
    limits: AssemblerLimits,
}

/// Who sends a block.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    /// The address is proven.
    pub(super) is_proven: bool,
}

/// What to do with a request that may be a block.
pub(super) enum Taken {
    /// The whole body, and the Block1 of the answer.
    Whole(Option<Vec<u8>>, Option<Block>),
    /// Answer so; no more to do.
    Answer(Code, Option<Block>, Option<u32>),
}

impl Uploads {
    pub(super) fn new(limits: &Limits) -> Self {
        let bounds = Bounds {
            all: limits.uploads.max(1),
            each: limits.uploads_per_source.max(1),
            exempt_loopback: false,
        };
        Uploads {
            bodies: HashMap::default(),
            strangers: Quota::new(bounds),
            known: Quota::new(bounds),
            limits: AssemblerLimits {
                max_body: limits.payload,
                preferred: Szx::MAX,
                lifetime_ms: Some(LIFETIME),
            },
        }
    }

    pub(super) fn take(&mut self, now: Instant, sender: Sender, message: &Message<'_>) -> Taken {
        let refuse = |r: Refusal, block| Taken::Answer(r.code(), block, r.size1());
        let incoming = match Incoming::of(message) {
            Ok(incoming) => incoming,
            Err(refusal) => return refuse(refusal, None),
        };
        if incoming.block1.is_none() {
            if incoming.payload.len() > self.limits.max_body as usize {
                return refuse(
                    Refusal::TooLarge {
                        max_body: self.limits.max_body,
                    },
                    None,
                );
            }
            return Taken::Whole(None, None);
        }
        let name: Name = (sender.listener, sender.peer, target(message).into());
        let (quota, other) = match sender.is_proven {
            true => (&mut self.known, &mut self.strangers),
            false => (&mut self.strangers, &mut self.known),
        };
        other.leave(&name);
        // Whoever goes on comes behind those that do not.
        if let Some(idle) = quota.enter(&name, sender.peer.address) {
            self.bodies.remove(&idle);
        }
        let upload = self.bodies.entry(name.clone()).or_insert_with(|| Upload {
            assembler: Assembler::new(self.limits),
            body: Vec::new(),
        });
        let mut verdict = upload.assembler.check(now, &incoming);
        if verdict == Verdict::Another {
            upload.assembler.reset();
            verdict = upload.assembler.check(now, &incoming);
        }
        match verdict {
            Verdict::Deliver {
                offset,
                last,
                reply,
                ..
            } => {
                upload.body.truncate(offset as usize);
                upload.body.extend_from_slice(incoming.payload);
                upload.assembler.advance(now, &incoming);
                if !last {
                    return Taken::Answer(Code::CONTINUE, reply, None);
                }
                Taken::Whole(self.remove(&name), reply)
            }
            Verdict::Duplicate { reply, .. } => Taken::Answer(Code::CONTINUE, reply, None),
            Verdict::Refuse(refusal) => {
                let block = incoming.block1;
                self.remove(&name);
                refuse(refusal, block)
            }
            Verdict::Another => refuse(Refusal::BadRequest, incoming.block1),
        }
    }

    fn remove(&mut self, name: &Name) -> Option<Vec<u8>> {
        self.strangers.leave(name);
        self.known.leave(name);
        self.bodies.remove(name).map(|upload| upload.body)
    }
}

fn target(message: &Message<'_>) -> Vec<u8> {
    let mut target = vec![message.code().byte()];
    for number in [OptionNumber::URI_PATH, OptionNumber::URI_QUERY] {
        for value in message.values(number) {
            target.push(b'/');
            target.extend_from_slice(value);
        }
    }
    target
}
