//! Our requests and their responses, by token: the layer that CoAP has over every transport.
//!
//! [`Endpoint`](crate::Endpoint) puts message ids, retransmission and the recognition of duplicates
//! below it, which UDP needs (RFC 7252 §4). TCP does those by itself (RFC 8323 §2),
//! so there [`Exchanges`] is used alone: each message that comes in goes through
//! [`Exchanges::classify`], and [`block`](crate::block) and [`observe`](crate::observe) need
//! nothing else.

use crate::live::Live;
use crate::{Code, Instant, MessageId, Token};

/// What a message means to this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A request of the peer.
    Request,
    /// The response to a request of ours; the exchange is over.
    Response,
    /// A response whose token has no open exchange: a notification, if the caller knows the token.
    Notification,
    /// Neither: empty, or a signal.
    Other,
}

/// Why no exchange was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// An exchange with this token is open.
    TokenInUse,
    /// The table is full: try again when one has ended.
    Full,
}

/// A request whose response is awaited.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    _live: Live,
    token: Token,
    /// The message that carried it, where messages have ids.
    id: Option<MessageId>,
    timeout_ms: u32,
    /// [`NEVER`] while the layer below has not delivered the request.
    deadline: Instant,
}

/// No `Option`, which would take as much room as the time itself.
const NEVER: Instant = Instant::from_millis(u64::MAX);

/// The open exchanges with one peer, at most `N`.
#[derive(Clone, Debug)]
pub struct Exchanges<const N: usize> {
    open: [Option<Exchange>; N],
}

impl<const N: usize> Default for Exchanges<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Exchanges<N> {
    /// None are open.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: [None; N] }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.open.fill(None);
    }

    /// Opens an exchange for a request that is sent now: its response is awaited for
    /// `timeout_ms`.
    ///
    /// # Errors
    /// [`ExchangeError`]; nothing has changed.
    pub fn open(
        &mut self,
        now: Instant,
        token: Token,
        timeout_ms: u32,
    ) -> Result<(), ExchangeError> {
        self.check(token)?;
        let deadline = now.plus_millis(u64::from(timeout_ms));
        self.insert(token, None, timeout_ms, Some(deadline));
        Ok(())
    }

    /// What a message with this code and token means. A response closes its exchange.
    pub fn classify(&mut self, code: Code, token: Token) -> Meaning {
        if code.is_request() {
            Meaning::Request
        } else if !code.is_response() {
            Meaning::Other
        } else if self.close(token) {
            Meaning::Response
        } else {
            Meaning::Notification
        }
    }

    /// Closes an exchange without a response, or because it came; returns whether it was open.
    pub fn close(&mut self, token: Token) -> bool {
        self.take(&|open| open.token == token).is_some()
    }

    /// Whether one more can be opened.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.iter().any(Option::is_none)
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.iter().all(Option::is_none)
    }

    /// When [`Exchanges::expired`] will have something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.open.iter().flatten().map(|open| open.deadline);
        deadlines.filter(|at| *at != NEVER).min()
    }

    /// Closes an exchange whose response did not come in time.
    pub fn expired(&mut self, now: Instant) -> Option<Token> {
        self.take(&|open| open.deadline != NEVER && open.deadline <= now)
    }

    /// Whether an exchange with this token can be opened.
    pub(crate) fn check(&self, token: Token) -> Result<(), ExchangeError> {
        if self.open.iter().flatten().any(|open| open.token == token) {
            return Err(ExchangeError::TokenInUse);
        }
        if !self.has_room() {
            return Err(ExchangeError::Full);
        }
        Ok(())
    }

    /// Opens an exchange for a message with an id; without deadline until it is acknowledged.
    pub(crate) fn insert(
        &mut self,
        token: Token,
        id: Option<MessageId>,
        timeout_ms: u32,
        deadline: Option<Instant>,
    ) {
        if let Some(slot) = self.open.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Exchange {
                _live: Live::Live,
                token,
                id,
                timeout_ms,
                deadline: deadline.unwrap_or(NEVER),
            });
        }
    }

    /// The message was acknowledged: from now on its response is awaited.
    pub(crate) fn acknowledged(&mut self, now: Instant, id: MessageId) {
        for exchange in self.open.iter_mut().flatten() {
            if exchange.id == Some(id) {
                exchange.deadline = now.plus_millis(u64::from(exchange.timeout_ms));
            }
        }
    }

    /// A response came in the acknowledgement of the message.
    pub(crate) fn answered(&mut self, id: MessageId, token: Token) -> bool {
        self.take(&|open| open.id == Some(id) && open.token == token)
            .is_some()
    }

    /// The message was rejected.
    pub(crate) fn rejected(&mut self, id: MessageId) -> Option<Token> {
        self.take(&|open| open.id == Some(id))
    }

    /// Closes the first exchange that is wanted; its token.
    fn take(&mut self, wanted: &dyn Fn(&Exchange) -> bool) -> Option<Token> {
        let mut open = self.open.iter_mut();
        let slot = open.find(|slot| slot.as_ref().is_some_and(wanted))?;
        slot.take().map(|exchange| exchange.token)
    }
}
