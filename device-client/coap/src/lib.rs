//! CoAP for both ends: strict zero-copy messages, reliability, Observe and block-wise transfer,
//! without sockets, clocks, randomness or allocation.
//!
//! RFC 7252 (CoAP), 7641 (Observe), 7959 (block-wise), 9175 (Request-Tag), 8132 (FETCH, PATCH).
//! One [`Endpoint`] is the state of one conversation: this side and one peer. Who the peer is, how
//! many there are and which socket they use is the caller's business.
//!
//! # Call order
//!
//! Every call takes `now` ([`Instant`]: monotonic milliseconds). Calls that make a datagram write
//! it into the caller's `out` and return its length: send `out[..len]` to the peer at once. `out`
//! should hold a whole datagram (1,152 bytes, RFC 7252 §4.6, unless both sides agreed on
//! more).
//!
//! 1. A datagram arrives: [`Endpoint::handle`] (or [`Endpoint::handle_message`] if it is already
//!    parsed). Act on the returned [`Received`].
//! 2. To answer a request: [`Endpoint::respond`] with the request's [`RequestHandle`], in the same
//!    turn or any time later. It makes a piggybacked response while that is still possible and a
//!    separate one after that; the empty acknowledgement of a late answer is sent by itself
//!    (step 5), or at once by [`Endpoint::defer`].
//! 3. To answer a notification: [`Endpoint::accept`] or [`Endpoint::reject`].
//! 4. To send: [`Endpoint::start_request`], [`Endpoint::notify`], [`Endpoint::ping`]. They answer
//!    [`SendError::Busy`] while an earlier confirmable message of their kind is not acknowledged
//!    (NSTART = 1); try again after the next [`Received`] or [`Output`].
//! 5. After any of these, and whenever [`Endpoint::next_deadline`] has passed:
//!    `while let Some(output) = endpoint.poll(now, &mut out)`. It gives datagrams to send
//!    (acknowledgements, resets, repeated replies, retransmissions) and time-outs.
//! 6. Set the timer to [`Endpoint::next_deadline`]; `None` means nothing will ever happen without
//!    input.
//!
//! Skipping step 5 loses at most what a lost datagram would.
//!
//! An answer that promises something durable must be made (`respond`) only when the promise is on
//! disk: once made, it is repeated to every duplicate of the request.
//!
//! # Two layers
//!
//! An [`Endpoint`] is two layers: reliability (message ids, retransmission, duplicates), which UDP
//! needs, below [`Exchanges`] (tokens), which every transport needs. A reliable transport uses
//! [`Exchanges`] alone.
//!
//! # Peers without state
//!
//! [`stateless`] answers a request (or refuses garbage) without an `Endpoint`.
//!
//! # Routing without a table
//!
//! [`Numbering`] puts the caller's bits at the top of every message id, and requests and
//! notifications carry tokens that the caller chose ([`Token::with_prefix`]), so a worker that only
//! sees the datagram can tell which shard an ACK, RST or response belongs to.
//!
//! # Bodies larger than a datagram
//!
//! [`block`] has the four roles as state machines that never hold a body.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

pub mod block;
mod delivery;
mod endpoint;
mod exchange;
mod hash;
mod live;
mod message;
pub mod observe;
mod reliability;
pub mod stateless;
mod time;

pub use delivery::{
    Dropped, NotificationHandle, Output, Received, Reliability, Request, RequestHandle, Respond,
    SendError, Sent,
};
pub use endpoint::Endpoint;
pub use exchange::{ExchangeError, Exchanges, Meaning};
pub use message::{
    Block, BlockMark, BuildError, Builder, Code, Message, MessageId, MessageType, OptionIter,
    OptionNumber, OptionValue, ParseError, ReservedSzx, Segments, Szx, Token, content_format,
};
pub use reliability::{Buffer, FixedBuffer, Numbering, Parameters};
pub use time::Instant;
