//! Transmission parameters (RFC 7252 §4.8) and numbering.

use crate::MessageId;

/// Transmission parameters; all times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// ACK_TIMEOUT: the first time-out of a confirmable message is between this and this times
    /// ACK_RANDOM_FACTOR.
    pub ack_timeout_ms: u32,
    /// ACK_RANDOM_FACTOR in percent, 100 to 1,000; 150 is RFC 7252's 1.5.
    pub ack_random_factor_percent: u16,
    /// MAX_RETRANSMIT, at most 12.
    pub max_retransmit: u8,
    /// How long a confirmable request may wait for its piggybacked response before an empty
    /// acknowledgement is sent.
    pub piggyback_window_ms: u32,
    /// How long to wait for a response after the acknowledgement of the request, or after a
    /// non-confirmable request.
    pub response_timeout_ms: u32,
    /// How long a message id of a confirmable message is remembered (EXCHANGE_LIFETIME).
    pub exchange_lifetime_ms: u32,
    /// How long a message id of a non-confirmable message is remembered (NON_LIFETIME).
    pub non_lifetime_ms: u32,
    /// Replies up to this size in bytes are kept for duplicates of their requests. For a larger
    /// one, a duplicate of an idempotent request is delivered again and any other is ignored.
    pub max_kept_reply: u16,
}

impl Parameters {
    /// RFC 7252 §4.8: 2 s, 1.5, 4 retransmissions.
    pub const RFC7252: Self = Self {
        ack_timeout_ms: 2_000,
        ack_random_factor_percent: 150,
        max_retransmit: 4,
        piggyback_window_ms: 1_000,
        response_timeout_ms: 60_000,
        exchange_lifetime_ms: 247_000,
        non_lifetime_ms: 145_000,
        max_kept_reply: 256,
    };

    /// Of an endpoint at rest.
    pub(crate) const NONE: Self = Self {
        ack_timeout_ms: 0,
        ack_random_factor_percent: 0,
        max_retransmit: 0,
        piggyback_window_ms: 0,
        response_timeout_ms: 0,
        exchange_lifetime_ms: 0,
        non_lifetime_ms: 0,
        max_kept_reply: 0,
    };

    /// MAX_TRANSMIT_SPAN: from the first transmission to the last retransmission at most.
    #[must_use]
    pub const fn max_transmit_span_ms(&self) -> u64 {
        self.scaled((1 << self.retransmissions()) - 1)
    }

    /// MAX_TRANSMIT_WAIT: from the first transmission to giving up at most.
    #[must_use]
    pub const fn max_transmit_wait_ms(&self) -> u64 {
        self.scaled((2 << self.retransmissions()) - 1)
    }

    const fn scaled(&self, factor: u64) -> u64 {
        self.ack_timeout_ms as u64 * factor * self.factor() / 100
    }

    const fn factor(&self) -> u64 {
        match self.ack_random_factor_percent {
            0..100 => 100,
            percent @ 100..1_000 => percent as u64,
            _ => 1_000,
        }
    }

    pub(super) const fn retransmissions(&self) -> u8 {
        if self.max_retransmit < 12 {
            self.max_retransmit
        } else {
            12
        }
    }

    /// Between a first time-out and that times ACK_RANDOM_FACTOR.
    pub(super) fn jittered(&self, timeout_ms: u32, random: u32) -> u32 {
        let shortest = u64::from(timeout_ms).max(1);
        let spread = (shortest * (self.factor() - 100) / 100).min(u64::from(u32::MAX));
        let jitter = (u64::from(random) * (spread + 1)) >> 32;
        u32::try_from(shortest + jitter).unwrap_or(u32::MAX)
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self::RFC7252
    }
}

/// Which message ids an endpoint uses: the top `bits` are always `prefix`.
///
/// Of `bits` for the prefix, 2^(16 - bits) ids are left, which RFC 7252 §4.4 doesn't want
/// to be used again within EXCHANGE_LIFETIME: with 4 bits, 16 messages per second on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    bits: u8,
    prefix: u16,
}

impl Numbering {
    /// All 65,536 ids.
    pub const ALL: Self = Self { bits: 0, prefix: 0 };

    /// Ids whose top `bits` (at most 8) are `prefix`; `None` if either is too large.
    #[must_use]
    pub const fn with_prefix(bits: u8, prefix: u16) -> Option<Self> {
        if bits <= 8 && (prefix as u32) < (1 << bits) {
            Some(Self { bits, prefix })
        } else {
            None
        }
    }

    /// The prefix of a message id that an endpoint with `bits` (at most 16) of prefix has made.
    #[must_use]
    pub const fn prefix_of(bits: u8, id: MessageId) -> u16 {
        ((id as u32) >> (16 - if bits > 16 { 16 } else { bits })) as u16
    }

    pub(super) const fn apply(self, counter: u16) -> MessageId {
        let low = 0xffff >> self.bits;
        (((self.prefix as u32) << (16 - self.bits)) as u16) | counter & low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_times_are_those_of_rfc7252_section_4_8_2() {
        let parameters = Parameters::RFC7252;
        assert_eq!(parameters.max_transmit_span_ms(), 45_000);
        assert_eq!(parameters.max_transmit_wait_ms(), 93_000);
        assert_eq!(parameters.jittered(2_000, 0), 2_000);
        assert_eq!(parameters.jittered(2_000, u32::MAX), 3_000);
    }

    #[test]
    fn absurd_parameters_do_not_overflow() {
        let parameters = Parameters {
            ack_timeout_ms: u32::MAX,
            ack_random_factor_percent: u16::MAX,
            max_retransmit: u8::MAX,
            ..Parameters::RFC7252
        };
        assert!(parameters.max_transmit_wait_ms() > 0);
        assert_eq!(parameters.jittered(u32::MAX, u32::MAX), u32::MAX);
    }

    #[test]
    fn prefix_is_kept_while_the_counter_wraps() {
        let numbering = Numbering::with_prefix(4, 0xa).unwrap();
        for counter in [0, 1, 0x0fff, 0x1000, 0xffff] {
            let id = numbering.apply(counter);
            assert_eq!(Numbering::prefix_of(4, id), 0xa);
            assert_eq!(id & 0x0fff, counter & 0x0fff);
        }
        assert_eq!(Numbering::ALL.apply(0xffff), 0xffff);
        assert_eq!(Numbering::with_prefix(4, 16), None);
        assert_eq!(Numbering::with_prefix(9, 0), None);
    }
}
