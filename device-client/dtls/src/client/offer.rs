//! What a client brings to a handshake.

use core::fmt;

use crate::aead::Aead;
use crate::cid::Cid;
use crate::keys::MAX_PSK;

/// Longest identity, in bytes (RFC 4279 §5.3).
pub const MAX_IDENTITY: usize = 128;

/// Who we are.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// What the server knows the key by, at most [`MAX_IDENTITY`] bytes; it is sent in the clear.
    pub identity: &'a [u8],
    /// The key that only the server has besides, at most [`MAX_PSK`] bytes.
    pub key: &'a [u8],
}

impl Credentials<'_> {
    /// Whether a handshake can be had with them.
    #[must_use]
    pub const fn are_usable(&self) -> bool {
        self.identity.len() <= MAX_IDENTITY && !self.key.is_empty() && self.key.len() <= MAX_PSK
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What a server is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The cipher suites with a pre-shared key that have these protections, the best first.
    pub aeads: &'static [Aead],
    /// The Connection ID that the server is to put into its records; empty is enough for the server
    /// to find us by its own when our address changes. None asks for no Connection IDs at all.
    pub cid: Option<Cid>,
    /// Milliseconds until a flight is sent again the first time: 1,000 (RFC 6347 §4.2.4.1), on
    /// slow networks 9,000 (RFC 7925 §11).
    pub first_timeout_ms: u32,
}

impl Offer {
    /// `TLS_PSK_WITH_AES_128_CCM_8`, and a Connection ID for records to the server.
    pub const DEFAULT: Self = Self {
        aeads: &[Aead::Ccm8],
        cid: Some(Cid::EMPTY),
        first_timeout_ms: 1000,
    };
}
