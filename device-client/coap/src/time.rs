//! Monotonic time as the caller measures it.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point of the caller's monotonic clock, in milliseconds since any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);

    /// From milliseconds since the clock's zero.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's zero.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This point plus `millis` milliseconds, saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this point; 0 if `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.millis_since(earlier))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        self.plus_millis(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, rhs: Self) -> Duration {
        self.duration_since(rhs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let at = Instant::from_millis(1_500);
        assert_eq!(at + Duration::from_secs(1), Instant::from_millis(2_500));
        assert_eq!(Instant::ZERO - at, Duration::ZERO);
        assert_eq!(at.plus_millis(u64::MAX).as_millis(), u64::MAX);
        assert_eq!(at + Duration::MAX, Instant::from_millis(u64::MAX));
    }
}
