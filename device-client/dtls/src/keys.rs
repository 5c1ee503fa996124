//! From what both ends know to the keys of both directions.

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::aead::Aead;
use crate::prf::prf;
use crate::protection::Protection;

/// Longest pre-shared key, in bytes.
pub const MAX_PSK: usize = 64;

/// The master secret of a session.
pub struct MasterSecret([u8; 48]);

/// A pre-shared key of more than [`MAX_PSK`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PskTooLong;

impl fmt::Display for PskTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a pre-shared key has more than {MAX_PSK} bytes")
    }
}

impl core::error::Error for PskTooLong {}

/// The keys of both directions.
#[derive(Debug)]
pub struct Keys {
    /// What the client seals with.
    pub client: Protection,
    /// What the server seals with.
    pub server: Protection,
}

/// Whose Finished it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

impl MasterSecret {
    /// One that was agreed elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// Of a handshake with a pre-shared key, without the extended master secret
    /// (RFC 4279 §2, RFC 5246 §8.1).
    ///
    /// # Errors
    /// The key has more than [`MAX_PSK`] bytes.
    pub fn of_psk(
        psk: &[u8],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Result<Self, PskTooLong> {
        let seed: &[&[u8]] = &[client_random, server_random];
        Self::derive(psk, b"master secret", seed)
    }

    /// Of a handshake with a pre-shared key: the extended master secret (RFC 7627 §4).
    /// `session_hash` is that of all messages up to and with the ClientKeyExchange.
    ///
    /// # Errors
    /// The key has more than [`MAX_PSK`] bytes.
    pub fn extended_of_psk(psk: &[u8], session_hash: &[u8; 32]) -> Result<Self, PskTooLong> {
        Self::derive(psk, b"extended master secret", &[session_hash])
    }

    /// Of a handshake with an agreed secret, without the extended master secret (RFC 8422 §5.10,
    /// RFC 5246 §8.1).
    #[cfg(feature = "rpk")]
    #[must_use]
    pub fn of_agreement(
        premaster: &[u8; 32],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Self {
        let mut secret = Self([0; 48]);
        let seed: &[&[u8]] = &[client_random, server_random];
        prf(premaster, b"master secret", seed, &mut secret.0);
        secret
    }

    /// Of a handshake with an agreed secret: the extended master secret (RFC 7627 §4), as
    /// [`extended_of_psk`](Self::extended_of_psk).
    #[cfg(feature = "rpk")]
    #[must_use]
    pub fn extended_of_agreement(premaster: &[u8; 32], session_hash: &[u8; 32]) -> Self {
        let mut secret = Self([0; 48]);
        let label = b"extended master secret";
        prf(premaster, label, &[session_hash], &mut secret.0);
        secret
    }

    /// The premaster secret is as many zeros as the key has bytes, and the key.
    fn derive(psk: &[u8], label: &[u8], seed: &[&[u8]]) -> Result<Self, PskTooLong> {
        let mut premaster = Zeroizing::new([0; 4 + 2 * MAX_PSK]);
        let len = psk.len();
        if len > MAX_PSK {
            return Err(PskTooLong);
        }
        premaster[1] = len as u8;
        premaster[3 + len] = len as u8;
        premaster[4 + len..4 + 2 * len].copy_from_slice(psk);
        let mut secret = Self([0; 48]);
        prf(&premaster[..4 + 2 * len], label, seed, &mut secret.0);
        Ok(secret)
    }

    /// The keys of both directions (RFC 5246 §6.3).
    #[must_use]
    pub fn keys(&self, aead: Aead, client_random: &[u8; 32], server_random: &[u8; 32]) -> Keys {
        let mut block = Zeroizing::new([0; 40]);
        let seed: &[&[u8]] = &[server_random, client_random];
        prf(&self.0, b"key expansion", seed, &mut *block);
        let mut client = Protection::new(aead, &[0; 16], &[0; 4]);
        let mut server = Protection::new(aead, &[0; 16], &[0; 4]);
        client.key.copy_from_slice(&block[..16]);
        server.key.copy_from_slice(&block[16..32]);
        client.salt.copy_from_slice(&block[32..36]);
        server.salt.copy_from_slice(&block[36..]);
        Keys { client, server }
    }

    /// The verify data of a Finished (RFC 5246 §7.4.9) for the hash of all messages before it.
    #[must_use]
    pub fn verify_data(&self, sender: Sender, hash: &[u8; 32]) -> [u8; 12] {
        let label: &[u8] = match sender {
            Sender::Client => b"client finished",
            Sender::Server => b"server finished",
        };
        let mut data = [0; 12];
        prf(&self.0, label, &[hash], &mut data);
        data
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

impl Drop for MasterSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const CLIENT: [u8; 32] = [0xc1; 32];
    const SERVER: [u8; 32] = [0x51; 32];

    /// Computed with Python's hmac from the formulas of the RFCs.
    #[test]
    fn secrets_and_keys() {
        let secret = MasterSecret::of_psk(b"swordfish", &CLIENT, &SERVER).unwrap();
        let expected = hex("defc816dd65d9ffe20221510826614ca1934ed66c7492654\
             88fb64f24954d9265a857e231cf26b6278d27a7ef44f4d85");
        assert_eq!(secret.as_bytes()[..], expected[..]);
        let secret = MasterSecret::extended_of_psk(b"swordfish", &[0x77; 32]).unwrap();
        let expected = hex("0d65d59690f5705e3016dc4f3f31c056432efb01ff347c24\
             a45d6622ddbb8ff2ff92b7844cb130e211e154fde7c9d46f");
        assert_eq!(secret.as_bytes()[..], expected[..]);
        let keys = secret.keys(Aead::Ccm8, &CLIENT, &SERVER);
        let both = [&keys.client.key[..], &keys.server.key];
        assert_eq!(
            both.concat(),
            hex("e9300041ea8198cdd43421d80a06c64c d875a488413cf4092db4c27ca2c5836b")
        );
        let both = [keys.client.salt, keys.server.salt].concat();
        assert_eq!(both, hex("5b7af76b ad655cd9"));
        let data = |sender| secret.verify_data(sender, &[0x77; 32]).to_vec();
        assert_eq!(data(Sender::Client), hex("19f7f6d384f8467c52d110c6"));
        assert_eq!(data(Sender::Server), hex("ee440deeeba95ecfaaddd0ed"));
    }

    #[test]
    fn lengths_of_keys() {
        let longest: [u8; MAX_PSK] = core::array::from_fn(|i| i as u8);
        let secret = MasterSecret::of_psk(&longest, &CLIENT, &SERVER).unwrap();
        let expected = hex("1d19d7d0f9148197d398639f0174a2193eb08a7bb4a75291\
             cc4e63bd24b1fc90ee4c97d43e20a4396a8a07ed607c1c12");
        assert_eq!(secret.as_bytes()[..], expected[..]);
        let refused = MasterSecret::of_psk(&[0; MAX_PSK + 1], &CLIENT, &SERVER);
        assert_eq!(refused.err(), Some(PskTooLong));
    }
}
