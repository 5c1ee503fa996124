//! Bodies that arrive in blocks (RFC 7959 Block1).

use lwm2m_objects::Path;
use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Verdict};
use tinsmith_coap::{Block, Code, Message, Parameters, Szx};

use crate::answer::Answer;
use crate::device::BODY;
use crate::platform::{Now, instant};
use crate::zero::Live;

/// Milliseconds without a block after which a body is forgotten.
const BODY_LIFETIME_MS: u32 = Parameters::RFC7252.exchange_lifetime_ms;

/// A body that arrives in blocks; there is room for one in a session, the newest wins.
pub(crate) struct Upload {
    _live: Live,
    pub(crate) path: Path,
    /// The limit of the assembler; another one, after a change of the model, begins anew.
    max: u32,
    assembler: Assembler,
}

/// The next part of a body.
pub(crate) struct Chunk<'m> {
    pub(crate) offset: u32,
    pub(crate) bytes: &'m [u8],
    pub(crate) last: bool,
    /// Block1 of the answer.
    pub(crate) reply: Option<Block>,
}

impl Upload {
    /// The next part of the body that is written to `path`, at most `max` bytes of it.
    pub(crate) fn next<'m>(
        this: &mut Option<Self>,
        now: Now,
        path: Path,
        message: &Message<'m>,
        max: u32,
    ) -> Result<Chunk<'m>, Answer> {
        let incoming = Incoming::of(message).map_err(|e| e.code())?;
        this.take_if(|u| u.path != path || u.max != max);
        let upload = this.get_or_insert_with(|| Self {
            _live: Live::Live,
            path,
            max,
            assembler: Assembler::new(AssemblerLimits {
                max_body: max,
                preferred: Szx::MAX,
                lifetime_ms: Some(BODY_LIFETIME_MS),
            }),
        });
        let assembler = &mut upload.assembler;
        let mut verdict = assembler.check(instant(now), &incoming);
        if matches!(verdict, Verdict::Another) {
            assembler.reset();
            verdict = assembler.check(instant(now), &incoming);
        }
        match verdict {
            Verdict::Deliver {
                offset,
                chunk,
                last,
                reply,
            } => {
                assembler.advance(instant(now), &incoming);
                if incoming.block1.is_none() {
                    *this = None;
                }
                Ok(Chunk {
                    offset,
                    bytes: chunk,
                    last,
                    reply,
                })
            }
            Verdict::Duplicate { last, reply } => {
                let code = if last { Code::CHANGED } else { Code::CONTINUE };
                Err(Answer::Code {
                    code,
                    block1: reply,
                })
            }
            Verdict::Refuse(refusal) => Err(match refusal.size1() {
                Some(max) => Answer::TooLarge { max },
                None => refusal.code().into(),
            }),
            Verdict::Another => Err(Code::REQUEST_ENTITY_INCOMPLETE.into()),
        }
    }
}

/// Where a body that is not streamed is put together; one for all servers.
pub(crate) struct BodyBuffer<'a> {
    bytes: &'a mut [u8; BODY],
    /// The session whose body it is, and when its last block came.
    owner: Option<(u8, u64)>,
}

/// A whole body.
pub(crate) enum Whole<'m> {
    Message(&'m [u8]),
    /// The first bytes of the buffer.
    Buffer(usize),
}

impl<'a> BodyBuffer<'a> {
    pub(crate) const fn new(bytes: &'a mut [u8; BODY]) -> Self {
        Self { bytes, owner: None }
    }

    pub(crate) fn get<'s>(&'s self, whole: &Whole<'s>) -> &'s [u8] {
        match whole {
            Whole::Message(bytes) => bytes,
            Whole::Buffer(len) => self.bytes.get(..*len).unwrap_or(&[]),
        }
    }

    /// The body of a request once it is complete, with the Block1 of the answer.
    pub(crate) fn collect<'m>(
        &mut self,
        now: Now,
        session: u8,
        upload: &mut Option<Upload>,
        path: Path,
        message: &Message<'m>,
    ) -> Result<(Whole<'m>, Option<Block>), Answer> {
        let chunk = Upload::next(upload, now, path, message, BODY as u32)?;
        if chunk.offset == 0 && chunk.last {
            return Ok((Whole::Message(chunk.bytes), chunk.reply));
        }
        let refusal = match self.owner {
            Some((owner, _)) if owner == session => None,
            // A sender that repeats its block no more has given up.
            Some((_, at)) if now.mono - at < Parameters::RFC7252.max_transmit_span_ms() => {
                Some(Code::SERVICE_UNAVAILABLE)
            }
            _ if chunk.offset > 0 => Some(Code::REQUEST_ENTITY_INCOMPLETE),
            _ => None,
        };
        if let Some(code) = refusal {
            *upload = None;
            return Err(code.into());
        }
        let start = chunk.offset as usize;
        let end = start + chunk.bytes.len();
        let Some(place) = self.bytes.get_mut(start..end) else {
            return Err(Answer::TooLarge { max: BODY as u32 });
        };
        place.copy_from_slice(chunk.bytes);
        self.owner = Some((session, now.mono)).filter(|_| !chunk.last);
        if chunk.last {
            return Ok((Whole::Buffer(end), chunk.reply));
        }
        Err(Answer::Code {
            code: Code::CONTINUE,
            block1: chunk.reply,
        })
    }
}
