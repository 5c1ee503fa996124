//! When a flight that was not answered is sent again (RFC 6347 §4.2.4.1).

/// How often before the server is given up: with a first wait of 1 s that is after 63 s.
const RETRANSMISSIONS: u8 = 5;
const LONGEST_MS: u32 = 60_000;

/// Times are milliseconds of a monotonic clock.
pub(super) struct Timer {
    at: u64,
    wait_ms: u32,
    left: u8,
}

impl Timer {
    pub(super) const REST: Self = Self {
        at: 0,
        wait_ms: 0,
        left: 0,
    };

    pub(super) const fn start(now: u64, first_ms: u32) -> Self {
        Self {
            at: now.saturating_add(first_ms as u64),
            wait_ms: first_ms,
            left: RETRANSMISSIONS,
        }
    }

    pub(super) const fn expires(&self, now: u64) -> bool {
        self.at <= now
    }

    /// Sets it anew, twice as long; none if there was no answer too often.
    pub(super) fn again(&mut self, now: u64) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let longest = LONGEST_MS.max(self.wait_ms);
        self.wait_ms = self.wait_ms.saturating_mul(2).min(longest);
        self.at = now.saturating_add(u64::from(self.wait_ms));
        Some(())
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double() {
        let mut timer = Timer::start(100, 1000);
        let mut sent = vec![];
        loop {
            assert!(!timer.expires(timer.at() - 1));
            let now = timer.at();
            assert!(timer.expires(now));
            if timer.again(now).is_none() {
                sent.push(now);
                break;
            }
            sent.push(now);
        }
        let after: Vec<u64> = sent.iter().map(|at| at - 100).collect();
        assert_eq!(after, [1000, 3000, 7000, 15_000, 31_000, 63_000]);
    }

    #[test]
    fn a_wait_is_at_most_a_minute_unless_the_first_was_longer() {
        for (first, then) in [(9000, 18_000), (50_000, 60_000), (90_000, 90_000)] {
            let mut timer = Timer::start(0, first);
            timer.again(0).unwrap();
            assert_eq!(timer.at(), then);
        }
    }
}
