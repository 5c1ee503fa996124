//! What the layers say to each other and to the caller: messages that came, were sent, and why not.

use crate::exchange::ExchangeError;
use crate::{BuildError, Code, Message, MessageId, ParseError, Token};

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
    /// in milliseconds; `None` takes [`Parameters::response_timeout_ms`](crate::Parameters::response_timeout_ms).
    pub response_timeout_ms: Option<u32>,
}

/// A request that waits for [`Endpoint::respond`](crate::Endpoint::respond).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHandle {
    pub(crate) id: MessageId,
    pub(crate) token: Token,
    pub(crate) serial: u16,
}

/// A notification (or unexpected response) that waits for [`Endpoint::accept`](crate::Endpoint::accept) or
/// [`Endpoint::reject`](crate::Endpoint::reject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationHandle {
    pub(crate) id: MessageId,
    pub(crate) serial: Option<u16>,
    pub(crate) confirmable: bool,
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
    /// An acknowledgement whose response has another token than the request (RFC 7252
    /// §5.3.2).
    WrongToken,
    /// Not a CoAP message; a Reset is sent where RFC 7252 §4.2 wants one.
    Malformed(ParseError),
}

/// What a datagram means.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// A request, delivered once; answer it with [`Endpoint::respond`](crate::Endpoint::respond).
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
    /// Answer with [`Endpoint::accept`](crate::Endpoint::accept) or [`Endpoint::reject`](crate::Endpoint::reject).
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

/// What [`Endpoint::poll`](crate::Endpoint::poll) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send `out[..len]`.
    Transmit(usize),
    /// No acknowledgement or response came in time; the message is forgotten.
    TimedOut(Sent),
}

/// What [`Endpoint::respond`](crate::Endpoint::respond) made.
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

impl From<BuildError> for SendError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<ExchangeError> for SendError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::TokenInUse => Self::TokenInUse,
            ExchangeError::Full => Self::Busy,
        }
    }
}

/// A request that is delivered.
pub(crate) fn request(message: Message<'_>, serial: u16) -> Received<'_> {
    let (id, token): (MessageId, Token) = (message.message_id(), message.token());
    Received::Request {
        handle: RequestHandle { id, token, serial },
        message,
    }
}
