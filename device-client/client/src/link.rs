//! One server: its address, its CoAP conversation, its registration.

use core::net::SocketAddr;

use tinsmith_coap::{Endpoint, FixedBuffer, Instant, Numbering, Parameters, Token};

use crate::platform::{Now, Platform};
use crate::text::Text;

/// Largest confirmable message that we send, in bytes: a Register, a notification of one block.
pub(crate) const MAX_CONFIRMABLE: usize = 704;
/// Largest answer that is kept for duplicates, in bytes.
const KEPT_REPLY: usize = 128;

pub(crate) type Coap = Endpoint<FixedBuffer<MAX_CONFIRMABLE>, FixedBuffer<KEPT_REPLY>, 2, 4>;

/// Room for the state of one server.
#[derive(Default)]
pub struct Peer {
    pub(crate) link: Option<Link>,
}

impl Peer {
    /// No server.
    pub const fn new() -> Self {
        Self { link: None }
    }
}

/// Who a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Bootstrap,
    /// A management server, by the instance of object 1.
    Server {
        instance: u16,
        short_id: u16,
    },
}

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    pub(crate) role: Role,
    pub(crate) coap: Coap,
    pub(crate) registration: Registration,
}

/// Where a registration stands; times are monotonic milliseconds.
///
/// ```text
///  Due -> Registering -> Registered -> Updating -> Registered
///   ^--- no or bad answer ---+            |  4.04, no answer: Due
///                       Registered -> Leaving -> Gone
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) enum Registration {
    Due {
        at: u64,
        attempts: u8,
    },
    /// `lifetime` is what the server is being told, seconds.
    Registering {
        token: Token,
        attempts: u8,
        lifetime: u32,
    },
    Registered {
        location: Location,
        update_at: u64,
    },
    Updating {
        token: Token,
        location: Location,
        lifetime: u32,
    },
    Leaving {
        token: Token,
    },
    Gone,
}

/// Location-Path of a registration, segments joined by '/'.
pub(crate) type Location = Text<64>;

impl Link {
    pub(crate) fn new(
        address: SocketAddr,
        role: Role,
        now: Now,
        platform: &mut dyn Platform,
    ) -> Self {
        let parameters = Parameters {
            max_kept_reply: KEPT_REPLY as u16,
            ..Parameters::RFC7252
        };
        Self {
            address,
            role,
            coap: Coap::new(parameters, Numbering::ALL, platform.random()),
            registration: match role {
                Role::Bootstrap => Registration::Gone,
                Role::Server { .. } => Registration::Due {
                    at: now.mono,
                    attempts: 0,
                },
            },
        }
    }
}

/// A fresh token.
pub(crate) fn token(platform: &mut dyn Platform) -> Token {
    let [a, b, c, d] = platform.random().to_be_bytes();
    let [e, f, g, h] = platform.random().to_be_bytes();
    Token::new(&[a, b, c, d, e, f, g, h]).unwrap_or_default()
}

/// CoAP's clock.
pub(crate) const fn instant(now: Now) -> Instant {
    Instant::from_millis(now.mono)
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
