//! Reliability and exchanges of one peer: RFC 7252 sections 4 and 5.

mod buffer;
mod dedup;
mod outgoing;
mod parameters;
mod receive;
mod send;
pub mod stateless;

pub use buffer::{Buffer, FixedBuffer};
pub use parameters::{Numbering, Parameters};

use dedup::Dedup;
use outgoing::Outgoing;

use crate::{BuildError, Code, Instant, Message, MessageId, MessageType, ParseError, Token};

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// CON: retransmitted until acknowledged.
    Confirmable,
    /// NON: sent once.
    NonConfirmable,
}

/// A request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub code: Code,
    /// Unique among this peer's open exchanges and observations; should be fresh and random.
    pub token: Token,
    /// CON or NON.
    pub reliability: Reliability,
    /// How long to wait for the response after the request was acknowledged (CON) or sent (NON),
    /// in milliseconds; `None` takes [`Parameters::response_timeout_ms`].
    pub response_timeout_ms: Option<u32>,
}

/// A request that waits for [`Endpoint::respond`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHandle {
    id: MessageId,
    token: Token,
    serial: u16,
}

/// A notification (or unexpected response) that waits for [`Endpoint::accept`] or
/// [`Endpoint::reject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationHandle {
    id: MessageId,
    serial: Option<u16>,
    confirmable: bool,
}

/// One of our messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The request with this token.
    Request(Token),
    /// The separate response to the request with this token.
    Response(Token),
    /// The confirmable notification with this token.
    Notification(Token),
    /// A ping.
    Ping,
    /// Not a confirmable message that is still open: for a Reset, perhaps a non-confirmable
    /// notification with this message id ([`observe::Observer::is_reset_by`]).
    ///
    /// [`observe::Observer::is_reset_by`]: crate::observe::Observer::is_reset_by
    Other(MessageId),
}

/// Why a datagram was not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// A duplicate; the earlier reply, if any, is sent again.
    Duplicate,
    /// Too many requests of this peer wait for an answer; it will repeat this one.
    Overloaded,
    /// An acknowledgement or reset of something not (or no longer) open.
    Stale,
    /// An acknowledgement whose response has another token than the request (RFC 7252 section
    /// 5.3.2).
    WrongToken,
    /// Not a CoAP message; a Reset is sent where RFC 7252 section 4.2 wants one.
    Malformed(ParseError),
}

/// What a datagram means.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// A request, delivered once; answer it with [`Endpoint::respond`].
    Request {
        /// For the answer.
        handle: RequestHandle,
        /// The request.
        message: Message<'a>,
    },
    /// The response to a request of ours; the exchange is over.
    Response {
        /// The request's token.
        token: Token,
        /// The response.
        message: Message<'a>,
    },
    /// A response whose token has no open exchange: a notification if the caller knows the token.
    /// Answer with [`Endpoint::accept`] or [`Endpoint::reject`].
    Notification {
        /// For the answer.
        handle: NotificationHandle,
        /// The observation's token.
        token: Token,
        /// The notification.
        message: Message<'a>,
    },
    /// The peer has our message; a request's response will follow.
    Acknowledged(Sent),
    /// The peer rejected our message.
    Reset(Sent),
    /// The peer pinged (and gets its pong) or answered our ping.
    Alive,
    /// Nothing to do.
    Nothing(Dropped),
}

/// What [`Endpoint::poll`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send `out[..len]`.
    Transmit(usize),
    /// No acknowledgement or response came in time; the message is forgotten.
    TimedOut(Sent),
}

/// What [`Endpoint::respond`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Respond {
    /// Send `out[..len]`.
    pub len: usize,
    /// The message id of the response.
    pub id: MessageId,
    /// The response is a confirmable message of its own: [`Sent::Response`] will be reported.
    pub separate: bool,
}

/// Why nothing was sent: all are this side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// An earlier confirmable message of this kind is not acknowledged (NSTART = 1), or the table
    /// of exchanges is full: try again after the next [`Received`] or [`Output`].
    Busy,
    /// An exchange with this token is open.
    TokenInUse,
    /// The request was answered already, or so long ago that the peer has forgotten it.
    UnknownRequest,
    /// The confirmable message is larger than the retransmission buffer.
    TooLarge,
    /// The message could not be built.
    Build(BuildError),
}

/// A request of ours whose response is awaited.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    _live: Live,
    token: Token,
    id: MessageId,
    response_timeout_ms: u32,
    /// `None` while the request is being retransmitted.
    deadline: Option<Instant>,
}

/// A datagram that [`Endpoint::poll`] sends at once.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Control {
    Empty(MessageType, MessageId) = 1,
    Reply(u16) = 2,
}

/// Of all fields it has the most values that are not valid, zero among them: what is absent is all
/// zeros, and an endpoint at rest needs no initial value in the image of a firmware.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Live {
    Live = 1,
}

/// The CoAP state of one peer; the crate's documentation has the order of calls.
///
/// `T` keeps confirmable messages for retransmission (two of them), `R` replies for duplicates
/// (`DEDUP` of them). `EXCHANGES` is how many requests of ours may wait for a response, `DEDUP` how
/// many messages of the peer are remembered, hence how many of its requests may wait for us.
#[derive(Clone, Debug)]
pub struct Endpoint<T, R, const EXCHANGES: usize = 2, const DEDUP: usize = 4> {
    parameters: Parameters,
    numbering: Numbering,
    counter: u16,
    random: u32,
    control: Option<Control>,
    /// A confirmable request or ping.
    request: Outgoing<T>,
    /// A separate response or confirmable notification.
    message: Outgoing<T>,
    exchanges: [Option<Exchange>; EXCHANGES],
    dedup: Dedup<R, DEDUP>,
}

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// An endpoint at rest, all zeros: for a `static`, to be restarted before its first use.
    pub const REST: Self = Self {
        parameters: Parameters::NONE,
        numbering: Numbering::ALL,
        counter: 0,
        random: 0,
        control: None,
        request: Outgoing::NONE,
        message: Outgoing::NONE,
        exchanges: [None; EXCHANGES],
        dedup: Dedup::NONE,
    };

    /// Makes it as [`new`](Self::new), in its place.
    pub fn restart(&mut self, parameters: Parameters, numbering: Numbering, seed: u32) {
        self.parameters = parameters;
        self.numbering = numbering;
        self.counter = (seed ^ seed >> 16) as u16;
        self.random = seed.wrapping_mul(0x9e37_79b9) | 1;
        self.control = None;
        self.request.clear();
        self.message.clear();
        self.exchanges.fill(None);
        self.dedup.clear();
    }

    /// A peer to which nothing was sent. `seed` should differ at every start of the program: it
    /// gives the first message id and the jitter of time-outs.
    #[must_use]
    pub fn new(parameters: Parameters, numbering: Numbering, seed: u32) -> Self {
        let mut new = Self::REST;
        new.restart(parameters, numbering, seed);
        new
    }

    /// Forgets the exchange with this token and stops its retransmission. A response that comes
    /// later is a [`Received::Notification`]. Returns whether there was one.
    pub fn cancel(&mut self, token: Token) -> bool {
        self.request
            .take_if(|request| request.of == Sent::Request(token));
        self.take_exchange(|exchange| exchange.token == token)
            .is_some()
    }

    /// Whether a confirmable request of ours can be sent now.
    #[must_use]
    pub fn can_request(&self) -> bool {
        self.request.is_free() && self.exchanges.iter().any(Option::is_none)
    }

    /// Whether a confirmable notification can be sent now.
    #[must_use]
    pub const fn can_notify(&self) -> bool {
        self.message.is_free()
    }

    /// When [`Endpoint::poll`] will have something, if no datagram comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.control.is_some() {
            return Some(Instant::ZERO);
        }
        let sent = [self.request.deadline(), self.message.deadline()]
            .into_iter()
            .flatten();
        let exchanges = self
            .exchanges
            .iter()
            .flatten()
            .filter_map(|exchange| exchange.deadline);
        sent.chain(exchanges)
            .chain(self.dedup.next_deadline(&self.parameters))
            .min()
    }

    /// Nothing is under way and no duplicate need be recognised any more: the state may be
    /// dropped.
    #[must_use]
    pub fn is_idle(&self, now: Instant) -> bool {
        self.control.is_none()
            && self.request.is_free()
            && self.message.is_free()
            && self.exchanges.iter().all(Option::is_none)
            && self.dedup.is_empty(now)
    }

    fn take_exchange(&mut self, wanted: impl Fn(&Exchange) -> bool) -> Option<Exchange> {
        self.exchanges
            .iter_mut()
            .find_map(|slot| slot.take_if(|exchange| wanted(exchange)))
    }
}
