//! Secrets at rest: AES-256-GCM, the nonce first.
//!
//! The nonce is the beginning of an HMAC over name and secret, under a key of its own: it is the same
//! only for the same secret of the same name, so no number from outside is needed, and what is
//! sealed tells no more than that nothing has changed.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE: usize = 12;
const TAG: usize = 16;

/// Seals secrets for the store.
pub trait Seal: Send + Sync {
    /// Seals what goes with `name`.
    ///
    /// # Errors
    /// Why it can't be.
    fn seal(&self, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, String>;

    /// What was sealed with `name`.
    ///
    /// # Errors
    /// It was sealed with another key or name, or changed.
    fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String>;
}

/// A sealing key.
#[derive(Clone)]
pub struct Key {
    cipher: Aes256Gcm,
    naming: Hmac<Sha256>,
}

impl Key {
    /// Of 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let part = |label: &[u8]| {
            let mut derived = keyed(key);
            derived.update(label);
            Zeroizing::new(<[u8; 32]>::from(derived.finalize().into_bytes()))
        };
        Self {
            cipher: Aes256Gcm::new((&*part(b"cipher")).into()),
            naming: keyed(&part(b"nonce")),
        }
    }

    fn nonce(&self, name: &[u8], secret: &[u8]) -> [u8; NONCE] {
        let mut naming = self.naming.clone();
        naming.update(&(name.len() as u64).to_be_bytes());
        naming.update(name);
        naming.update(secret);
        let made = naming.finalize().into_bytes();
        std::array::from_fn(|at| made[at])
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A block of SHA-256; a shorter key is filled up with zeros (RFC 2104 §2).
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    KeyInit::new((&*block).into())
}

impl Seal for Key {
    fn seal(&self, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, String> {
        let nonce = self.nonce(name, secret);
        let mut sealed = Vec::with_capacity(NONCE + secret.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let text = &mut sealed[NONCE..];
        let cipher = &self.cipher;
        let tag = cipher.encrypt_inout_detached(&nonce.into(), name, text.into());
        let tag = tag.map_err(|_| "it is too long to be sealed".to_owned())?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let wrong = || "it was sealed with another key, or has been changed".to_owned();
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or_else(wrong)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self.cipher.decrypt_inout_detached(
            &(*nonce).into(),
            name,
            text.as_mut_slice().into(),
            &(*tag).into(),
        );
        opened.map_err(|_| wrong())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> Key {
        Key::new(&[first; 32])
    }

    #[test]
    fn what_is_sealed_opens_with_key_and_name_only() {
        let sealed = key(1).seal(b"a", b"secret").unwrap();
        assert_eq!(key(1).open(b"a", &sealed).unwrap()[..], b"secret"[..]);
        assert!(key(2).open(b"a", &sealed).is_err());
        assert!(key(1).open(b"b", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key(1).open(b"a", &changed).is_err(), "{at}");
            assert!(key(1).open(b"a", &sealed[..at]).is_err(), "{at}");
        }
        assert_ne!(
            key(1).seal(b"b", b"secret").unwrap()[..NONCE],
            sealed[..NONCE]
        );
        assert_ne!(
            key(1).seal(b"a", b"secreu").unwrap()[..NONCE],
            sealed[..NONCE]
        );
    }
}
