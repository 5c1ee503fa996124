//! Server role of Block1: takes a body in order, chunk by chunk.

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

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The payload is the next part of the body. When it is taken, call [`Assembler::advance`] and
    /// answer with `reply`, and 2.31 unless `last`.
    Deliver {
        /// Position of the payload in the body; 0 begins a body.
        offset: u32,
        /// The body is complete with this payload.
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
    /// The first block of another body while one is under way: [`Assembler::reset`] and ask again
    /// to take it, or refuse it.
    Another,
    /// Answer with this error.
    Refuse(Refusal),
}

/// Takes one body at a time, in order. The caller keeps one for each (peer, resource).
#[derive(Clone, Debug)]
pub struct Assembler {
    limits: AssemblerLimits,
}

impl Assembler {
    /// No body under way.
    #[must_use]
    pub const fn new(limits: AssemblerLimits) -> Self {
        Self { limits }
    }

    /// A body under way, as after a restart: `received` bytes of the body with `tag` are there.
    #[must_use]
    pub const fn resume(
        limits: AssemblerLimits,
        now: Instant,
        tag: Option<Tag>,
        received: u32,
    ) -> Self {
        let _ = (now, tag, received);
        Self { limits }
    }

    /// Looks at a request; changes nothing but forgetting a body that is too old.
    pub fn check(&mut self, now: Instant, incoming: &Incoming<'_>) -> Verdict {
        let _ = (now, incoming, self.limits);
        todo!()
    }

    /// The payload that [`Verdict::Deliver`] was about has been taken.
    pub fn advance(&mut self, now: Instant, incoming: &Incoming<'_>) {
        let _ = (now, incoming);
        todo!()
    }

    /// Forgets the body under way.
    pub fn reset(&mut self) {
        todo!()
    }

    /// Contiguous bytes taken of the body under way (or just completed) and its tag.
    #[must_use]
    pub fn progress(&self) -> Option<(u32, Option<Tag>)> {
        todo!()
    }
}
