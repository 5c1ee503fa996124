//! The board, as the client uses it while it handles an input.

use tinsmith_coap::{Instant, Token};

use crate::flash::FlashRead;

/// Two clocks, read by the shell before each call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a monotonic clock with any origin.
    pub mono: u64,
    /// Seconds since 1970-01-01 UTC; 0 if nobody has told the device yet.
    pub wall: i64,
}

/// The board, as the client uses it while it handles an input.
///
/// Everything that takes long or may fail is an [`Output`](crate::Output) instead.
pub trait Platform: FlashRead {
    /// Microseconds of a clock with any origin; only differences are used, for latencies.
    fn micros(&self) -> u64;

    /// Unpredictable bits, for tokens, message ids and jitter.
    fn random(&mut self) -> u32;

    /// The board's AES, which nothing else uses.
    #[cfg(feature = "board-aes")]
    fn aes(&mut self) -> &mut dyn tinsmith_dtls::Aes;
}

/// CoAP's clock.
pub(crate) const fn instant(now: Now) -> Instant {
    Instant::from_millis(now.mono)
}

/// A fresh token.
pub(crate) fn token(platform: &mut dyn Platform) -> Token {
    let [a, b, c, d] = platform.random().to_be_bytes();
    let [e, f, g, h] = platform.random().to_be_bytes();
    Token::new(&[a, b, c, d, e, f, g, h]).unwrap_or_default()
}

/// Fills a place with unpredictable bytes.
#[cfg(feature = "oscore")]
pub(crate) fn random_bytes(platform: &mut dyn Platform, place: &mut [u8]) {
    for part in place.chunks_mut(4) {
        for (place, byte) in part.iter_mut().zip(platform.random().to_be_bytes()) {
            *place = byte;
        }
    }
}

/// Milliseconds before attempt number `attempts`: doubling from 2 s to 5 min, the upper half of it
/// random, so that a fleet does not come back at once.
pub(crate) fn back_off(attempts: u8, platform: &mut dyn Platform) -> u64 {
    let full = (2_000u64 << attempts.saturating_sub(1).min(8)).min(300_000);
    full / 2 + u64::from(platform.random()) % (full / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Board;

    #[test]
    fn back_off_doubles_and_ends_at_five_minutes() {
        let mut board = Board::small();
        for (attempts, full) in [
            (1, 2_000),
            (2, 4_000),
            (5, 32_000),
            (9, 300_000),
            (255, 300_000),
        ] {
            for _ in 0..100 {
                let ms = back_off(attempts, &mut board);
                assert!((full / 2..full).contains(&ms), "{attempts}: {ms}");
            }
        }
    }
}
