//! Reliability and exchanges of one peer: RFC 7252 sections 4 and 5.

mod buffer;
mod parameters;
pub mod stateless;

pub use buffer::{Buffer, FixedBuffer};
pub use parameters::{Numbering, Parameters};

use crate::{BuildError, Builder, Code, Instant, Message, MessageId, ParseError, Token};

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
    confirmable: bool,
}

/// A notification (or unexpected response) that waits for [`Endpoint::accept`] or
/// [`Endpoint::reject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationHandle {
    id: MessageId,
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

/// The CoAP state of one peer.
pub struct Endpoint<T, R, const EXCHANGES: usize = 2, const DEDUP: usize = 4> {
    transmit: T,
    reply: R,
}

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// A peer to which nothing was sent. `seed` should differ at every start of the program: it
    /// gives the first message id and the jitter of time-outs.
    #[must_use]
    pub fn new(parameters: Parameters, numbering: Numbering, seed: u32) -> Self {
        let _ = (parameters, numbering, seed);
        Self {
            transmit: T::default(),
            reply: R::default(),
        }
    }

    /// Takes a datagram from the peer.
    pub fn handle<'a>(&mut self, now: Instant, datagram: &'a [u8]) -> Received<'a> {
        todo!("{now:?} {datagram:?}")
    }

    /// Takes a message that was parsed already.
    pub fn handle_message<'a>(&mut self, now: Instant, message: Message<'a>) -> Received<'a> {
        todo!("{now:?} {message:?}")
    }

    /// Answers a request; `build` adds options and payload.
    ///
    /// # Errors
    /// [`SendError`]; the request still waits (but for [`SendError::UnknownRequest`]).
    pub fn respond(
        &mut self,
        now: Instant,
        handle: RequestHandle,
        code: Code,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<Respond, SendError> {
        let _ = (now, handle, code, out, build);
        todo!()
    }

    /// Acknowledges a confirmable request now, so that its response will be separate. Returns the
    /// datagram's length, `None` if there is nothing to send. [`Endpoint::poll`] does the same
    /// by itself after [`Parameters::piggyback_window_ms`].
    pub fn defer(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
        let _ = (now, handle, out);
        todo!()
    }

    /// Leaves a request without response; a confirmable one is answered with Reset. Returns the
    /// datagram's length, `None` if there is nothing to send.
    pub fn refuse(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
        let _ = (now, handle, out);
        todo!()
    }

    /// Acknowledges a notification. Returns the datagram's length, `None` if there is nothing to
    /// send (non-confirmable).
    pub fn accept(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        let _ = (now, handle, out);
        todo!()
    }

    /// Rejects a notification with Reset: the peer forgets the observation (RFC 7641 section 3.6).
    pub fn reject(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        let _ = (now, handle, out);
        todo!()
    }

    /// Sends a request; `build` adds options and payload. Returns the datagram's length.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn start_request(
        &mut self,
        now: Instant,
        request: Request,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<usize, SendError> {
        let _ = (now, request, out, build);
        todo!()
    }

    /// Sends a notification of an observation; `build` adds options (Observe among them) and
    /// payload. Returns the datagram's length and message id.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn notify(
        &mut self,
        now: Instant,
        token: Token,
        code: Code,
        reliability: Reliability,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(usize, MessageId), SendError> {
        let _ = (now, token, code, reliability, out, build);
        todo!()
    }

    /// Asks whether the peer is there (RFC 7252 section 4.3): [`Received::Alive`] if it is.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn ping(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
        let _ = (now, out);
        todo!()
    }

    /// Forgets the exchange with this token and stops its retransmission. A response that comes
    /// later is a [`Received::Notification`]. Returns whether there was one.
    pub fn cancel(&mut self, token: Token) -> bool {
        let _ = token;
        todo!()
    }

    /// The next datagram or time-out that is due, `None` if there is none now.
    pub fn poll(&mut self, now: Instant, out: &mut [u8]) -> Option<Output> {
        let _ = (now, out);
        todo!()
    }

    /// When [`Endpoint::poll`] will have something, if no datagram comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let _ = (self.transmit.as_slice(), self.reply.as_slice());
        todo!()
    }

    /// Whether a request of ours can be sent now.
    #[must_use]
    pub fn can_request(&self) -> bool {
        todo!()
    }

    /// Nothing is under way and no duplicate need be recognised any more: the state may be
    /// dropped.
    #[must_use]
    pub fn is_idle(&self, now: Instant) -> bool {
        let _ = now;
        todo!()
    }
}
