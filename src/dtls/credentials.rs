//! Whom the server knows.

use std::fmt;

use zeroize::Zeroizing;

/// A pre-shared key.
pub struct Psk {
    /// 1 to [`MAX_PSK`](tinsmith_dtls::MAX_PSK) bytes; with any other number nobody gets in.
    pub key: Zeroizing<Vec<u8>>,
    /// It belongs to one device, which has one association: a new one ends the one before.
    pub is_of_one: bool,
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk")
    }
}

/// Whom the server knows. It is asked during handshakes, so it answers from memory.
pub trait Credentials: Send + Sync {
    /// The key of a PSK identity; none if nobody has it.
    fn psk(&self, identity: &[u8]) -> Option<Psk>;
}
