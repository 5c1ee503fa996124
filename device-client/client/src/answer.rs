//! What a request of a server is answered with, now or later.

use lwm2m_objects::Path;
use tinsmith_coap::{Block, Code};

use crate::read::ReadRequest;

/// An answer; what it shows is looked at when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// A code, and Block1.
    Code { code: Code, block1: Option<Block> },
    /// 4.13 with the largest size we take.
    TooLarge { max: u32 },
    /// 2.01 with the path of the new instance.
    Created(Path),
    /// What is at a path.
    Read(ReadRequest),
    /// 2.05 with what a bootstrap server may know.
    Discover(Path),
    /// 2.04 (5.00 if the accounts could not be stored), and the bootstrap is over.
    Finish { stored: bool },
}

impl From<Code> for Answer {
    fn from(code: Code) -> Self {
        Self::Code { code, block1: None }
    }
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Everything on flash; bit n: the request relies on the record with key n.
    Stored { records: u8 },
    /// The handler says that it is done.
    Told { serial: u32 },
    /// Nothing any more.
    Ready,
}

/// When a request is answered.
pub(crate) enum Outcome {
    /// At once.
    Now(Answer),
    /// Later.
    Wait {
        until: Until,
        answer: Answer,
        /// It is a part of a resumable body, up to this offset.
        part: Option<(Path, u32)>,
    },
}

impl From<Code> for Outcome {
    fn from(code: Code) -> Self {
        Self::Now(code.into())
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Now(answer)
    }
}
