//! What one end knows of the other.

mod open;
mod respond;
mod seal;
mod stored;

use core::fmt;

use tinsmith_coap::{BuildError, Token};

use crate::bytes::Bytes;
use crate::derive::{IdContext, Keys, Master};
use crate::exchange::{Asked, Heard, Table};
use crate::numbers::Numbers;
use crate::option::MAX_VALUE;
use crate::rederive::{R1, RunKey, wrap};
use crate::refusal::Refusal;
use crate::window::Window;

pub use stored::{MAX_ENCODED, StoredError};

/// Longest value of an Echo option, in bytes (RFC 9175 §2.2.1).
const MAX_ECHO: usize = 40;
/// Most bytes that an OSCORE message has beside those of the plain one: the OSCORE option, an outer
/// Observe, the payload marker, the code, an Echo option and the tag.
pub const MAX_OVERHEAD: usize = (2 + MAX_VALUE) + 4 + 1 + 1 + (3 + MAX_ECHO) + crate::cose::TAG;

/// What is known of a context when a program starts.
#[derive(Clone, Copy, Debug)]
pub enum Start<'s> {
    /// The keys are new: no message was ever sealed with them. Numbers are to be reserved.
    Fresh,
    /// The keys may have been used, and which numbers is not known. Nothing is sealed with them;
    /// requests are answered with a part of new keys (RFC 8613 §B.2).
    Lost,
    /// The same, and this end asks for new keys with its first request, with 8 random bytes that
    /// were never used for it. All numbers of keys that were made so may be used: they do not
    /// outlive the program.
    Rederive([u8; R1]),
    /// As [`Peer::encode`] wrote it.
    Stored(&'s [u8]),
}

/// Keys of one ID Context, and what was done with them.
#[derive(Clone)]
struct Context {
    keys: Keys,
    id: Option<IdContext>,
    /// The ID Context was made by a re-derivation: it travels as a CBOR byte string.
    wrapped: bool,
    numbers: Numbers,
    /// None if it is not known what was received.
    window: Option<Window>,
}

impl Context {
    fn rederived(master: &Master, id: IdContext, durable: bool) -> Self {
        Self {
            keys: master.keys(Some(id.as_slice())),
            id: Some(id),
            wrapped: true,
            numbers: match durable {
                true => Numbers::from(0),
                false => Numbers::ALL,
            },
            window: Some(Window::NEW),
        }
    }

    fn id(&self) -> &[u8] {
        self.id.as_ref().map_or(&[], Bytes::as_slice)
    }

    /// Whether a message's 'kid context' names it.
    fn is_named(&self, kid_context: &[u8]) -> bool {
        match (&self.id, self.wrapped) {
            (None, _) => false,
            (Some(id), false) => id.as_slice() == kid_context,
            (Some(id), true) => {
                wrap(id.as_slice()).is_some_and(|wrapped| wrapped.as_slice() == kid_context)
            }
        }
    }
}

/// Where a re-derivation stands that this end asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none.
    Settled,
    /// Its first request may be sent; nothing of the peer is taken but its answer.
    First,
    /// The keys are there; that the peer has them is not yet known.
    Third,
}

/// What one end knows of the other: keys, numbers, and which requests wait for responses.
///
/// `ASKED` is how many requests of ours may wait for a response or for notifications, `HEARD` how
/// many of the peer may wait for our response or are observations.
#[derive(Clone)]
pub struct Peer<const ASKED: usize = 4, const HEARD: usize = 8> {
    master: Master,
    context: Context,
    /// Of the context: another one means other keys.
    generation: u32,
    phase: Phase,
    /// Numbers are reserved before they are used.
    durable: bool,
    /// Of a re-derivation that the peer asks for; empty if it asks for none.
    run: RunKey,
    /// The Echo that the peer has to repeat.
    challenge: Option<[u8; 8]>,
    /// The Echo that this end has to repeat.
    echo: Bytes<MAX_ECHO>,
    asked: Table<Asked, ASKED>,
    heard: Table<Heard, HEARD>,
}

/// Numbers that may be used when the mark is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    generation: u32,
    mark: u64,
}

/// A message that was opened: it is in the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bytes.
    pub len: usize,
    /// It was there before: the answer to it may be repeated, nothing else be done.
    pub repeated: bool,
    /// It is a response that says no more than that the request is to be sent once more, as a new
    /// message.
    pub again: bool,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A message for CoAP.
    Message(Message),
    /// To be answered with the first `len` bytes of the buffer, as they are: a refusal, or (without
    /// a reason) what the peer needs for its next request.
    Answer {
        /// Bytes.
        len: usize,
        /// Why it was refused.
        why: Option<Refusal>,
    },
    /// A request or response without OSCORE. A response may be forged by anybody.
    Unprotected,
    /// To be ignored.
    Dropped(Refusal),
}

/// Why no message was sealed. No number was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// It is no CoAP message, or has an OSCORE option already.
    Malformed,
    /// It is a response to a request that was not opened, or so long ago that it is forgotten.
    UnknownRequest,
    /// No number is reserved: [`Peer::reserve`] some; or none may be used until there are new
    /// keys.
    Unreserved,
    /// All numbers were used: there must be new keys.
    Exhausted,
    /// There is no room for it.
    Build(BuildError),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("no message that OSCORE can protect"),
            Self::UnknownRequest => f.write_str("the request of the response is not known"),
            Self::Unreserved => f.write_str("no number is reserved"),
            Self::Exhausted => f.write_str("all numbers are used"),
            Self::Build(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SealError {}

impl From<BuildError> for SealError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl<const ASKED: usize, const HEARD: usize> Peer<ASKED, HEARD> {
    /// A peer with which a secret is shared.
    ///
    /// # Errors
    /// What was stored can't be read.
    pub fn new(master: Master, start: Start<'_>) -> Result<Self, StoredError> {
        let mut durable = true;
        let mut phase = Phase::Settled;
        let context = match start {
            Start::Fresh => Context {
                window: Some(Window::NEW),
                ..Context::lost(&master)
            },
            Start::Lost => Context::lost(&master),
            Start::Rederive(r1) => {
                (durable, phase) = (false, Phase::First);
                Context::first(&master, r1)
            }
            Start::Stored(bytes) => stored::decode(&master, bytes)?,
        };
        Ok(Self {
            phase,
            durable,
            ..Self::with(master, context)
        })
    }

    /// One with [`Start::Lost`].
    #[must_use]
    pub fn lost(master: Master) -> Self {
        let context = Context::lost(&master);
        Self::with(master, context)
    }

    const fn with(master: Master, context: Context) -> Self {
        Self {
            master,
            context,
            generation: 0,
            phase: Phase::Settled,
            durable: true,
            run: RunKey::EMPTY,
            challenge: None,
            echo: Bytes::EMPTY,
            asked: Table::NONE,
            heard: Table::NONE,
        }
    }

    /// What both ends have agreed on.
    #[must_use]
    pub const fn master(&self) -> &Master {
        &self.master
    }

    /// How many messages may be sealed before more numbers are needed.
    #[must_use]
    pub const fn numbers_left(&self) -> u64 {
        self.context.numbers.left()
    }

    /// Which keys these are: another number after a re-derivation. What is stored is not true any
    /// more then.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The peer and this end have what they need: no first request is outstanding.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Settled
    }

    /// Raises the mark that [`encode`](Self::encode) writes down, so that `count` numbers may be
    /// used when it is durable; [`confirm_reserved`](Self::confirm_reserved) is told then.
    ///
    /// Only for keys whose numbers are known: nothing is reserved after [`Start::Lost`].
    pub fn reserve(&mut self, count: u64) -> Reservation {
        let generation = self.generation;
        let mark = match self.can_reserve() {
            true => self.context.numbers.reserve(count),
            false => 0,
        };
        Reservation { generation, mark }
    }

    /// Whether [`reserve`](Self::reserve) gives numbers: not if it is not known which were used.
    #[must_use]
    pub const fn can_reserve(&self) -> bool {
        let numbers = &self.context.numbers;
        !numbers.are_exhausted() && (self.context.window.is_some() || numbers.mark() > 0)
    }

    /// Whether a request of ours with this token is remembered, so that what answers it can be
    /// opened.
    #[must_use]
    pub fn waits_for(&self, token: Token) -> bool {
        self.asked.has(token)
    }

    /// An encoding made after `reserve` gave this is durable.
    pub fn confirm_reserved(&mut self, reservation: Reservation) {
        if reservation.generation == self.generation {
            self.context.numbers.confirm(reservation.mark);
        }
    }

    /// Begins anew with other keys, for which this end asks (RFC 8613 §B.2).
    pub fn rederive(&mut self, r1: [u8; R1]) {
        self.durable = false;
        self.switch(Context::first(&self.master, r1));
        self.phase = Phase::First;
    }

    /// The peer's request with this token is answered for the last time, or observes no more: what
    /// is known of it may give way to others.
    pub fn forget(&mut self, token: Token) {
        if let Some(heard) = self.heard.get(token) {
            heard.observes = false;
        }
    }

    /// Other keys: nothing that was under way can be answered.
    fn switch(&mut self, context: Context) {
        self.context = context;
        self.generation = self.generation.wrapping_add(1);
        self.phase = Phase::Settled;
        self.run = RunKey::EMPTY;
        self.challenge = None;
        self.echo = Bytes::EMPTY;
        self.asked.clear();
        self.heard.clear();
    }
}

impl Context {
    /// The keys that were agreed on, of which it is not known how they were used.
    fn lost(master: &Master) -> Self {
        Self {
            keys: master.keys(master.context().map(Bytes::as_slice)),
            id: master.context().cloned(),
            wrapped: false,
            numbers: Numbers::from(0),
            window: None,
        }
    }

    /// The keys of the first request of a re-derivation.
    fn first(master: &Master, r1: [u8; R1]) -> Self {
        let id = IdContext::new(&r1).unwrap_or(IdContext::EMPTY);
        Self {
            window: None,
            ..Self::rederived(master, id, false)
        }
    }
}

impl<const ASKED: usize, const HEARD: usize> fmt::Debug for Peer<ASKED, HEARD> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("master", &self.master)
            .field("numbers", &self.context.numbers)
            .field("window", &self.context.window)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
