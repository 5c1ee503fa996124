//! Observe (RFC 7641), both roles.

use crate::{Instant, MessageId, Reliability, Token};

/// Client side: tells newer notifications from older ones (RFC 7641 section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    sequence: u32,
    at: Instant,
}

impl Freshness {
    /// After the first notification with this Observe value (the response to the registration).
    #[must_use]
    pub const fn new(now: Instant, sequence: u32) -> Self {
        Self {
            sequence: sequence & 0xff_ffff,
            at: now,
        }
    }

    /// Whether the notification is newer than all before; if so it is remembered.
    pub fn accept(&mut self, now: Instant, sequence: u32) -> bool {
        let _ = (now, sequence, self.at);
        todo!()
    }
}

/// Server side: one observation of one resource by one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observer {
    token: Token,
    sequence: u32,
    confirmed_at: Instant,
    last_id: Option<MessageId>,
}

impl Observer {
    /// From a GET or FETCH with Observe 0; [`Observer::sequence`] goes into its response.
    #[must_use]
    pub const fn new(now: Instant, token: Token) -> Self {
        Self {
            token,
            sequence: 0,
            confirmed_at: now,
            last_id: None,
        }
    }

    /// Token of every notification.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Observe value of the latest notification (of the response, at first).
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Observe value and reliability for the next notification: confirmable if wanted, and at
    /// least every 24 hours (RFC 7641 section 4.5).
    pub fn next(&mut self, now: Instant, wanted: Reliability) -> (u32, Reliability) {
        let _ = (now, self.confirmed_at);
        (0, wanted)
    }

    /// The notification went out with this message id.
    pub fn sent(&mut self, id: MessageId) {
        self.last_id = Some(id);
    }

    /// The peer acknowledged a confirmable notification.
    pub fn confirmed(&mut self, now: Instant) {
        self.confirmed_at = now;
    }

    /// Whether a Reset of this message id ([`Sent::Other`](crate::Sent::Other)) ends the
    /// observation.
    #[must_use]
    pub fn is_reset_by(&self, id: MessageId) -> bool {
        self.last_id == Some(id)
    }
}
