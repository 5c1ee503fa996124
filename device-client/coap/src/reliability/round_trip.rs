//! How long the peer takes to acknowledge (RFC 6298 §2, RFC 7252 §4.8.1): on a network that loses
//! messages they are sent again sooner if the peer is near, and no longer than before in all.

use super::Parameters;
use crate::Instant;

/// RFC 7252 §4.8.1 wants no shorter ACK_TIMEOUT (ms).
const SHORTEST: u32 = 1_000;
/// An estimate that is older says nothing (ms): radios sleep.
const LIFETIME: u64 = 60_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    /// Smoothed, in ms; 0: nothing is known.
    smoothed: u16,
    /// Mean deviation, in ms.
    deviation: u16,
    /// Of the last measurement.
    at: Instant,
}

/// The first time-out of a message before its jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) timeout_ms: u32,
    /// Retransmissions besides MAX_RETRANSMIT, within MAX_TRANSMIT_WAIT.
    pub(super) more: u8,
}

impl RoundTrip {
    pub(super) const UNKNOWN: Self = Self {
        smoothed: 0,
        deviation: 0,
        at: Instant::ZERO,
    };

    /// A message that was sent once was acknowledged after so long.
    pub(super) fn measured(&mut self, now: Instant, millis: u64) {
        let measured = u16::try_from(millis).unwrap_or(u16::MAX).max(1);
        if self.is_known(now) {
            let (smoothed, deviation) = (u32::from(self.smoothed), u32::from(self.deviation));
            let off = u32::from(self.smoothed.abs_diff(measured));
            // Means of 16-bit numbers.
            self.deviation = ((3 * deviation + off) / 4) as u16;
            self.smoothed = ((7 * smoothed + u32::from(measured)) / 8).max(1) as u16;
        } else {
            self.smoothed = measured;
            self.deviation = measured / 2;
        }
        self.at = now;
    }

    /// A message was not acknowledged at all.
    pub(super) fn forget(&mut self) {
        *self = Self::UNKNOWN;
    }

    fn is_known(&self, now: Instant) -> bool {
        self.smoothed > 0 && now.millis_since(self.at) <= LIFETIME
    }

    pub(super) fn pace(&self, now: Instant, parameters: &Parameters) -> Pace {
        let longest = parameters.ack_timeout_ms.max(1);
        if !self.is_known(now) {
            return Pace {
                timeout_ms: longest,
                more: 0,
            };
        }
        let estimate = u32::from(self.smoothed) + 4 * u32::from(self.deviation);
        let timeout_ms = estimate.max(SHORTEST).min(longest);
        // Each halving of the first time-out leaves time for one more.
        let more = (longest / timeout_ms).ilog2().min(4) as u8;
        Pace { timeout_ms, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(5_000);

    fn after(measured: &[u64]) -> Pace {
        let mut round_trip = RoundTrip::UNKNOWN;
        for millis in measured {
            round_trip.measured(NOW, *millis);
        }
        round_trip.pace(NOW, &Parameters::RFC7252)
    }

    fn pace(timeout_ms: u32, more: u8) -> Pace {
        Pace { timeout_ms, more }
    }

    #[test]
    fn a_near_peer_is_asked_again_sooner_and_once_more() {
        assert_eq!(after(&[]), pace(2_000, 0));
        assert_eq!(after(&[0]), pace(1_000, 1));
        assert_eq!(after(&[50]), pace(1_000, 1));
        assert_eq!(after(&[400]), pace(1_200, 0));
        assert_eq!(after(&[400; 20]), pace(1_000, 1));
        assert_eq!(after(&[90_000]), pace(2_000, 0));
    }

    #[test]
    fn what_is_old_or_was_in_vain_is_forgotten() {
        let mut round_trip = RoundTrip::UNKNOWN;
        round_trip.measured(NOW, 50);
        let later = NOW.plus_millis(LIFETIME + 1);
        assert_eq!(round_trip.pace(later, &Parameters::RFC7252), pace(2_000, 0));
        round_trip.forget();
        assert_eq!(round_trip.pace(NOW, &Parameters::RFC7252), pace(2_000, 0));
    }

    #[test]
    fn other_parameters_hold() {
        let mut round_trip = RoundTrip::UNKNOWN;
        round_trip.measured(NOW, 50);
        for (ack_timeout_ms, expected) in [
            (0, pace(1, 0)),
            (500, pace(500, 0)),
            (8_000, pace(1_000, 3)),
            (u32::MAX, pace(1_000, 4)),
        ] {
            let parameters = Parameters {
                ack_timeout_ms,
                ..Parameters::RFC7252
            };
            assert_eq!(round_trip.pace(NOW, &parameters), expected);
        }
    }
}
