//! The two clocks of a server, and how its tasks wait for a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tinsmith_lwm2m::Now;

/// Where the time comes from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The system, since a moment.
    System(tokio::time::Instant),
    /// A test: the monotonic clock in milliseconds.
    #[cfg(test)]
    Set(tokio::sync::watch::Receiver<u64>),
}

/// Wall time at 0 of a clock that a test sets (2026-01-01T00:00:00Z).
#[cfg(test)]
const EPOCH: u64 = 1_767_225_600_000;

impl Clock {
    pub(crate) fn system() -> Self {
        Clock::System(tokio::time::Instant::now())
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Clock::System(origin) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH);
                Now {
                    mono: millis(origin.elapsed()),
                    wall: millis(wall.unwrap_or_default()),
                }
            }
            #[cfg(test)]
            Clock::Set(now) => {
                let mono = *now.borrow();
                Now {
                    mono,
                    wall: EPOCH + mono,
                }
            }
        }
    }

    /// Returns at a monotonic time (ms) or a little later, within a day; never early.
    pub(crate) async fn until(&self, mono: u64) {
        match self {
            Clock::System(origin) => {
                let day = 86_400_000;
                let ahead = mono.saturating_sub(millis(origin.elapsed())).min(day);
                tokio::time::sleep(Duration::from_millis(ahead + 1)).await;
            }
            #[cfg(test)]
            Clock::Set(now) => {
                let ended = now.clone().wait_for(|now| *now >= mono).await.is_err();
                if ended {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
