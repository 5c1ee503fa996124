//! Verifying signatures, one file for each algorithm.
//!
//! Everything here is public, so nothing takes care to need the same time for all values.

#[cfg(feature = "ed25519")]
mod ed25519;
#[cfg(feature = "es256")]
mod es256;

use crate::algorithm::{Algorithm, TO_BE_SIGNED};

/// An algorithm that a product verifies: it lists those that it is linked with.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    algorithm: Algorithm,
    /// Whether a signature of a message is that of a key.
    verify: fn(&[u8; 64], &[u8; TO_BE_SIGNED], &[u8; 64]) -> bool,
    /// Whether it is a public key that can be trusted at all.
    is_key: fn(&[u8; 64]) -> bool,
}

impl Scheme {
    /// Ed25519 (RFC 8032).
    #[cfg(feature = "ed25519")]
    pub const ED25519: Self = Self {
        algorithm: Algorithm::EdDsa,
        verify: ed25519::verify,
        is_key: ed25519::is_key,
    };

    /// ECDSA on P-256 with SHA-256 (RFC 9053 §2.1).
    #[cfg(feature = "es256")]
    pub const ES256: Self = Self {
        algorithm: Algorithm::Es256,
        verify: es256::verify,
        is_key: es256::is_key,
    };

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn of(schemes: &[Self], algorithm: Algorithm) -> Option<&Self> {
        schemes.iter().find(|s| s.algorithm == algorithm)
    }
}

/// Whether a signature is that of the key; no for an algorithm that is not listed.
pub(crate) fn verify(
    schemes: &[Scheme],
    algorithm: Algorithm,
    point: &[u8; 64],
    signed: &[u8; TO_BE_SIGNED],
    signature: &[u8; 64],
) -> bool {
    let scheme = Scheme::of(schemes, algorithm);
    scheme.is_some_and(|s| (s.verify)(point, signed, signature))
}

/// Whether it may be a public key; of an algorithm that is not listed everything may, since nothing
/// is verified with it.
pub(crate) fn is_key(schemes: &[Scheme], algorithm: Algorithm, point: &[u8; 64]) -> bool {
    let scheme = Scheme::of(schemes, algorithm);
    scheme.is_none_or(|s| (s.is_key)(point))
}
