//! Server role of Block1: takes a body in order, chunk by chunk.

use core::cmp::Ordering;
use core::fmt;

use crate::hash::fingerprint;
use crate::{Block, Code, Instant, Message, Szx};

/// A Request-Tag (RFC 9175), 0 to 8 bytes; same form as a token.
pub type Tag = crate::Token;

/// Limits of an [`Assembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblerLimits {
    /// Largest body in bytes: more is refused with 4.13.
    pub max_body: u32,
    /// Block size we ask for; larger blocks of the peer are answered with this.
    pub preferred: Szx,
    /// A transfer without a block for this long, in milliseconds, is forgotten; `None`: never.
    pub lifetime_ms: Option<u32>,
}

/// What matters of a request with (or without) Block1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Block1.
    pub block1: Option<Block>,
    /// Request-Tag; `None` and empty are different tags.
    pub tag: Option<Tag>,
    /// Size1.
    pub size1: Option<u32>,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// Reads `request`.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] for a reserved block size.
    pub fn of(request: &Message<'a>) -> Result<Self, Refusal> {
        let block1 = request.block1().map_err(|_| Refusal::BadRequest)?;
        let tag = request.request_tag().and_then(Tag::new);
        Ok(Self {
            block1,
            tag,
            size1: request.size1(),
            payload: request.payload(),
        })
    }
}

/// Why a block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// 4.00: the payload's length doesn't fit the block.
    BadRequest,
    /// 4.08: blocks before this one are missing.
    Incomplete,
    /// 4.13: the body is larger than `max_body`; answer with Size1 = `max_body`.
    TooLarge {
        /// Largest body we take.
        max_body: u32,
    },
}

impl Refusal {
    /// The response code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::BadRequest => Code::BAD_REQUEST,
            Self::Incomplete => Code::REQUEST_ENTITY_INCOMPLETE,
            Self::TooLarge { .. } => Code::REQUEST_ENTITY_TOO_LARGE,
        }
    }

    /// Size1 of the response.
    #[must_use]
    pub const fn size1(self) -> Option<u32> {
        match self {
            Self::TooLarge { max_body } => Some(max_body),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest => f.write_str("payload's length doesn't fit its block"),
            Self::Incomplete => f.write_str("blocks before this one are missing"),
            Self::TooLarge { max_body } => write!(f, "body is larger than {max_body} bytes"),
        }
    }
}

impl core::error::Error for Refusal {}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The next part of the body. When it is taken, call [`Assembler::advance`] and answer with
    /// `reply`, and 2.31 unless `last`. Until then the same request has the same verdict.
    Deliver {
        /// Position of the chunk in the body; 0 begins a body.
        offset: u32,
        /// The payload, without what was taken before (a resumed transfer may overlap, down to
        /// nothing).
        chunk: &'a [u8],
        /// The body is complete with this chunk.
        last: bool,
        /// Block1 of the response.
        reply: Option<Block>,
    },
    /// The payload was taken before: answer as then (2.31, or the final answer if `last`), with
    /// `reply`, and do nothing else.
    Duplicate {
        /// It was the last part of the body.
        last: bool,
        /// Block1 of the response.
        reply: Option<Block>,
    },
    /// The beginning of another body while one is under way: [`Assembler::reset`] and check again
    /// to take it, or refuse it.
    Another,
    /// Answer with this error.
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug)]
struct Body {
    tag: Option<Tag>,
    size1: Option<u32>,
    received: u32,
    complete: bool,
    /// Position and fingerprint of the block taken last.
    last: Option<(u32, u32)>,
    at: Instant,
}

impl Body {
    fn is_of(&self, incoming: &Incoming<'_>) -> bool {
        let sizes = self.size1.zip(incoming.size1);
        self.tag == incoming.tag && sizes.is_none_or(|(known, told)| known == told)
    }
}

/// Takes one body at a time, in order. The caller keeps one for each (peer, resource).
///
/// Without Request-Tag a first block that comes again can't be told for certain from the first
/// block of another body with the same beginning; it is taken for a repetition if its bytes are
/// those of the block taken last, and for another body otherwise.
///
/// A completed body is remembered, so that repetitions of its last block (of all blocks, if it has
/// a Request-Tag) are answered as before: [`Assembler::reset`] when its content has been given up
/// and the same body may come again.
#[derive(Clone, Debug)]
pub struct Assembler {
    limits: AssemblerLimits,
    body: Option<Body>,
}

impl Assembler {
    /// No body under way.
    #[must_use]
    pub const fn new(limits: AssemblerLimits) -> Self {
        Self { limits, body: None }
    }

    /// A body under way, as after a restart: `received` bytes of the body with `tag` are there.
    #[must_use]
    pub const fn resume(
        limits: AssemblerLimits,
        now: Instant,
        tag: Option<Tag>,
        received: u32,
    ) -> Self {
        let body = Body {
            tag,
            size1: None,
            received,
            complete: false,
            last: None,
            at: now,
        };
        Self {
            limits,
            body: Some(body),
        }
    }

    /// Looks at a request; changes nothing but forgetting a body that is too old.
    pub fn check<'a>(&mut self, now: Instant, incoming: &Incoming<'a>) -> Verdict<'a> {
        if let (Some(body), Some(lifetime)) = (&self.body, self.limits.lifetime_ms)
            && now.millis_since(body.at) >= u64::from(lifetime)
        {
            self.body = None;
        }
        self.verdict(incoming).unwrap_or_else(Verdict::Refuse)
    }

    fn verdict<'a>(&self, incoming: &Incoming<'a>) -> Result<Verdict<'a>, Refusal> {
        let Incoming {
            block1,
            tag,
            size1,
            payload,
        } = *incoming;
        let max_body = self.limits.max_body;
        let too_large = Refusal::TooLarge { max_body };
        let len = u32::try_from(payload.len()).map_err(|_| too_large)?;
        let offset = block1.map_or(0, Block::offset);
        let more = block1.is_some_and(|block| block.more);
        if let Some(block) = block1 {
            let size = block.szx.size();
            if payload.len() > size || more && payload.len() != size {
                return Err(Refusal::BadRequest);
            }
        }
        let end = offset.checked_add(len).ok_or(too_large)?;
        if end > max_body || more && end == max_body || size1 > Some(max_body) {
            return Err(too_large);
        }
        let reply = block1.map(|block| match block.num {
            0 => Block {
                szx: block.szx.min(self.limits.preferred),
                ..block
            },
            _ => block,
        });
        let whole = Verdict::Deliver {
            offset,
            chunk: payload,
            last: !more,
            reply,
        };
        let Some(body) = self.body else {
            return if offset == 0 {
                Ok(whole)
            } else {
                Err(Refusal::Incomplete)
            };
        };
        let duplicate = Verdict::Duplicate { last: !more, reply };
        if block1.is_none() || !body.is_of(incoming) {
            return match offset {
                0 if body.complete => Ok(whole),
                0 => Ok(Verdict::Another),
                _ => Err(Refusal::Incomplete),
            };
        }
        if !body.complete && offset == body.received {
            return Ok(whole);
        }
        if offset > body.received {
            return Err(Refusal::Incomplete);
        }
        if tag.is_some() {
            return match end.cmp(&body.received) {
                // The end of the body is where the last block ended, and nowhere else.
                Ordering::Less if !more => Err(Refusal::BadRequest),
                Ordering::Equal if more && body.complete => Err(Refusal::BadRequest),
                // All was taken before a restart, but not that it was all.
                Ordering::Equal if !more && !body.complete => Ok(Verdict::Deliver {
                    offset: end,
                    chunk: &[],
                    last: true,
                    reply,
                }),
                Ordering::Less | Ordering::Equal => Ok(duplicate),
                Ordering::Greater if body.complete => Err(Refusal::BadRequest),
                Ordering::Greater => {
                    let chunk = &payload[(body.received - offset) as usize..];
                    Ok(Verdict::Deliver {
                        offset: body.received,
                        chunk,
                        last: !more,
                        reply,
                    })
                }
            };
        }
        if body.last == Some((offset, fingerprint(&[payload]))) && more != body.complete {
            return Ok(duplicate);
        }
        match offset {
            0 if body.complete => Ok(whole),
            0 => Ok(Verdict::Another),
            _ => Err(Refusal::Incomplete),
        }
    }

    /// The payload that [`Verdict::Deliver`] was about has been taken.
    pub fn advance(&mut self, now: Instant, incoming: &Incoming<'_>) {
        let Incoming {
            block1,
            tag,
            size1,
            payload,
        } = *incoming;
        let Some(block) = block1 else {
            self.body = None;
            return;
        };
        let known = self
            .body
            .filter(|body| !body.complete)
            .and_then(|body| body.size1);
        self.body = Some(Body {
            tag,
            size1: size1.or(known),
            received: block.offset() + payload.len() as u32,
            complete: !block.more,
            last: Some((block.offset(), fingerprint(&[payload]))),
            at: now,
        });
    }

    /// Forgets the body under way.
    pub const fn reset(&mut self) {
        self.body = None;
    }

    /// Contiguous bytes taken of the body under way (or just completed) and its tag.
    #[must_use]
    pub fn progress(&self) -> Option<(u32, Option<Tag>)> {
        self.body.map(|body| (body.received, body.tag))
    }

    /// Whether a body is under way and not complete.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.body.is_some_and(|body| !body.complete)
    }
}

#[cfg(test)]
#[path = "assembler_tests.rs"]
mod tests;
