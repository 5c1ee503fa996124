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

    /// Whether a raw public key is that of one device, by the SHA-256 digest of its
    /// SubjectPublicKeyInfo; none if nobody has it.
    fn raw_key(&self, _digest: &[u8; 32]) -> Option<bool> {
        None
    }

    /// The name by which who has a certificate is known, and whether it is that of one device; none
    /// if nobody has these names. The certificate itself is good: its issuer is believed and it is
    /// valid now. `names`: its common name, then DNS names and URIs.
    fn certificate(&self, _names: &[String]) -> Option<(String, bool)> {
        None
    }
}
