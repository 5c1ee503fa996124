//! Secrets at rest: AES-256-GCM, the nonce first.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
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
pub struct Key(Aes256Gcm);

impl Key {
    /// Of 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }
}

impl Seal for Key {
    fn seal(&self, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, String> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
        let mut sealed = Vec::with_capacity(NONCE + secret.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(secret);
        let text = &mut sealed[NONCE..];
        let tag = self
            .0
            .encrypt_inout_detached(&nonce.into(), name, text.into());
        let tag = tag.map_err(|_| "it is too long to be sealed".to_owned())?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let wrong = || "it was sealed with another key, or has been changed".to_owned();
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or_else(wrong)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self.0.decrypt_inout_detached(
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn key(first: u8) -> Key {
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
        assert_ne!(key(1).seal(b"a", b"secret").unwrap(), sealed);
    }
}
