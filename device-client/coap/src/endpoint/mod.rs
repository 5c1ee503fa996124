//! Both layers of one peer over UDP: reliability (RFC 7252 §4) below exchanges (§5).

mod receive;
mod send;

use crate::delivery::{
    Dropped, NotificationHandle, Output, Received, Reliability, Request, RequestHandle, Respond,
    SendError, Sent, request,
};
use crate::exchange::Exchanges;
use crate::reliability::{Buffer, Numbering, Parameters};
use crate::{Instant, Token};

/// The layer of message ids, retransmission and duplicates.
type Messages<T, R, const DEDUP: usize> = crate::reliability::Reliability<T, R, DEDUP>;

/// The CoAP state of one peer; the crate's documentation has the order of calls.
///
/// `T` keeps confirmable messages for retransmission (two of them), `R` replies for duplicates
/// (`DEDUP` of them). `EXCHANGES` is how many requests of ours may wait for a response, `DEDUP` how
/// many messages of the peer are remembered, hence how many of its requests may wait for us.
#[derive(Clone, Debug)]
pub struct Endpoint<T, R, const EXCHANGES: usize = 2, const DEDUP: usize = 4> {
    exchanges: Exchanges<EXCHANGES>,
    messages: Messages<T, R, DEDUP>,
}

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// An endpoint at rest, all zeros: for a `static`, to be restarted before its first use.
    pub const REST: Self = Self {
        exchanges: Exchanges::new(),
        messages: Messages::REST,
    };

    /// Makes it as [`new`](Self::new), in its place.
    pub fn restart(&mut self, parameters: Parameters, numbering: Numbering, seed: u32) {
        self.exchanges.clear();
        self.messages.restart(parameters, numbering, seed);
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
        self.messages.cancel(token);
        self.exchanges.close(token)
    }

    /// Whether a confirmable request of ours can be sent now.
    #[must_use]
    pub fn can_request(&self) -> bool {
        self.messages.can_request() && self.exchanges.has_room()
    }

    /// Whether a confirmable notification can be sent now.
    #[must_use]
    pub const fn can_notify(&self) -> bool {
        self.messages.can_notify()
    }

    /// When [`Endpoint::poll`] will have something, if no datagram comes before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.messages.next_deadline(),
            self.exchanges.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Nothing is under way and no duplicate need be recognised any more: the state may be
    /// dropped.
    #[must_use]
    pub fn is_idle(&self, now: Instant) -> bool {
        self.messages.is_idle(now) && self.exchanges.is_empty()
    }
}
