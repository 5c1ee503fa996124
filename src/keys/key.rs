//! Secret keys.

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use tinsmith_package::{Algorithm, TrustAnchor, sha256};

use crate::seal::{SealError, random};

/// A secret key. It is not printed.
#[derive(Clone)]
pub struct Secret {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({:?})", self.algorithm)
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bits.
    pub fn new(algorithm: Algorithm) -> Result<Self, SealError> {
        loop {
            let secret = Self {
                algorithm,
                bytes: random()?,
            };
            // Of 2^256 numbers, 2^224 are too large for P-256.
            if secret.public().is_some() {
                return Ok(secret);
            }
        }
    }

    /// From its 32 bytes.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok()?;
        let secret = Self { algorithm, bytes };
        secret.public().is_some().then_some(secret)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> Option<TrustAnchor> {
        match self.algorithm {
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.bytes).verifying_key();
                TrustAnchor::new(self.algorithm, key.as_bytes())
            }
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&self.bytes).ok()?;
                let point = key.verifying_key().to_sec1_point(false);
                TrustAnchor::new(self.algorithm, point.as_bytes().get(1..)?)
            }
        }
    }

    /// Signs; the same message gets the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        match self.algorithm {
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.bytes);
                Some(key.sign(message).to_bytes())
            }
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&self.bytes).ok()?;
                let signature: p256::ecdsa::Signature = key.sign_prehash(&sha256(message)).ok()?;
                Some(signature.to_bytes().into())
            }
        }
    }
}
