//! Payloads of Registers and Updates that come block-wise (RFC 7959), before anybody is known.

use std::collections::VecDeque;

use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Refusal, Verdict};
use tinsmith_coap::{Block, Code, Instant, Message, OptionNumber, Szx};

use super::{ListenerId, Peer};

/// How long a device may take from block to block, in milliseconds.
const LIFETIME: u32 = 120_000;

struct Upload {
    listener: ListenerId,
    peer: Peer,
    target: Vec<u8>,
    assembler: Assembler,
    body: Vec<u8>,
}

/// Bodies under way, the oldest first; bounded in number and size.
pub(super) struct Uploads {
    list: VecDeque<Upload>,
    max: usize,
    limits: AssemblerLimits,
}

/// What to do with a request that may be a block.
pub(super) enum Taken {
    /// The whole body, and the Block1 of the answer.
    Whole(Option<Vec<u8>>, Option<Block>),
    /// Answer so; no more to do.
    Answer(Code, Option<Block>, Option<u32>),
}

impl Uploads {
    pub(super) fn new(max: usize, max_body: u32) -> Self {
        let limits = AssemblerLimits {
            max_body,
            preferred: Szx::MAX,
            lifetime_ms: Some(LIFETIME),
        };
        Uploads {
            list: VecDeque::new(),
            max,
            limits,
        }
    }

    pub(super) fn take(
        &mut self,
        now: Instant,
        listener: ListenerId,
        peer: Peer,
        message: &Message<'_>,
    ) -> Taken {
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
        let target = target(message);
        let is_same = |u: &Upload| u.listener == listener && u.peer == peer && u.target == target;
        let at = match self.list.iter().position(is_same) {
            Some(at) => at,
            None => {
                if self.list.len() >= self.max {
                    self.list.pop_front();
                }
                let assembler = Assembler::new(self.limits);
                let body = Vec::new();
                self.list.push_back(Upload {
                    listener,
                    peer,
                    target,
                    assembler,
                    body,
                });
                self.list.len() - 1
            }
        };
        let upload = &mut self.list[at];
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
                let body = self.list.remove(at).map(|u| u.body);
                Taken::Whole(body, reply)
            }
            Verdict::Duplicate { reply, .. } => Taken::Answer(Code::CONTINUE, reply, None),
            Verdict::Refuse(refusal) => {
                let block = incoming.block1;
                self.list.remove(at);
                refuse(refusal, block)
            }
            Verdict::Another => refuse(Refusal::BadRequest, incoming.block1),
        }
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
