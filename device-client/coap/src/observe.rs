//! Observe (RFC 7641), both roles.

use crate::{Instant, MessageId, Reliability, Token};

const MASK: u32 = 0xff_ffff;
const HALF: u32 = 1 << 23;
const FRESH_MS: u64 = 128_000;
const CONFIRM_MS: u64 = 24 * 3_600_000;

/// Client side: tells newer notifications from older ones (RFC 7641 §3.4).
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
            sequence: sequence & MASK,
            at: now,
        }
    }

    /// Whether the notification is newer than all before; if so it is remembered.
    pub const fn accept(&mut self, now: Instant, sequence: u32) -> bool {
        let sequence = sequence & MASK;
        let ahead = sequence.wrapping_sub(self.sequence) & MASK;
        let newer = ahead != 0 && ahead < HALF || now.millis_since(self.at) > FRESH_MS;
        if newer {
            *self = Self { sequence, at: now };
        }
        newer
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
    /// least every 24 hours (RFC 7641 §4.5).
    pub fn next(&mut self, now: Instant, wanted: Reliability) -> (u32, Reliability) {
        self.sequence = (self.sequence + 1) & MASK;
        let overdue = now.millis_since(self.confirmed_at) >= CONFIRM_MS;
        (
            self.sequence,
            if overdue {
                Reliability::Confirmable
            } else {
                wanted
            },
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_rfc7641_section_3_4() {
        let at = Instant::from_millis;
        let mut freshness = Freshness::new(at(0), 10);
        assert!(!freshness.accept(at(1), 10));
        assert!(!freshness.accept(at(1), 9));
        assert!(freshness.accept(at(1), 11));
        assert!(!freshness.accept(at(128_001), 5));
        assert!(freshness.accept(at(128_002), 5));
        assert!(freshness.accept(at(128_003), 5 + HALF - 1));
        assert!(!freshness.accept(at(128_004), 5));
        let mut wrapping = Freshness::new(at(0), MASK);
        assert!(wrapping.accept(at(0), 0));
        assert!(!wrapping.accept(at(0), MASK));
    }

    #[test]
    fn a_day_without_confirmation_makes_the_next_confirmable() {
        let non = Reliability::NonConfirmable;
        let mut observer = Observer::new(Instant::ZERO, Token::EMPTY);
        assert_eq!(
            observer.next(Instant::from_millis(CONFIRM_MS - 1), non),
            (1, non)
        );
        let day = Instant::from_millis(CONFIRM_MS);
        assert_eq!(observer.next(day, non), (2, Reliability::Confirmable));
        observer.confirmed(day);
        assert_eq!(observer.next(day, non), (3, non));
        observer.sent(77);
        assert!(observer.is_reset_by(77));
        assert!(!observer.is_reset_by(78));
    }
}
