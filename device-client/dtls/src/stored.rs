//! An association as bytes, to survive a restart. Numbers are big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | role: 0 client, 1 server |
//! | 1 | protection: 1 CCM with tags of 8 bytes, 2 CCM, 3 GCM |
//! | 16, 4 | key and salt of what is read |
//! | 16, 4 | key and salt of what is written |
//! | 8 | the first number that is not reserved |
//! | 8, 8 | the number after the highest received; the 64 before it, the highest in the lowest bit |
//! | 1, n | own Connection ID |
//! | 1, n | the peer's Connection ID |

use core::fmt;

use crate::aead::Aead;
use crate::association::{Association, NUMBERS, Role};
use crate::bytes::{Reader, Writer};
use crate::cid::{Cid, MAX_CID};
use crate::protection::Protection;
use crate::window::Window;

const VERSION: u8 = 1;
/// Bytes without the Connection IDs.
const FIXED: usize = 3 + 2 * (16 + 4) + 8 + 16 + 2;
/// Most bytes that an encoded association has.
pub const MAX_ENCODED: usize = FIXED + 2 * MAX_CID;

/// Why an association can't be written down, or read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredError {
    /// The buffer has less than [`Association::encoded_len`] bytes.
    Space,
    /// It was written by a version that is not known.
    Version(u8),
    /// Its protection is not one that this program was built with.
    Aead(u8),
    /// It ends too early or too late, or says what no association says.
    Malformed,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("no room for an association"),
            Self::Version(version) => write!(f, "an association of version {version}"),
            Self::Aead(number) => write!(f, "an association with protection {number}"),
            Self::Malformed => f.write_str("no association"),
        }
    }
}

impl core::error::Error for StoredError {}

impl Association {
    /// Bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        FIXED + self.own_cid.len() + self.peer_cid.len()
    }

    /// Writes it down, keys included, and gives the number of bytes. Numbers that are reserved
    /// count as used.
    ///
    /// # Errors
    /// [`StoredError::Space`].
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, StoredError> {
        let out = out.get_mut(..self.encoded_len());
        let mut writer = Writer::new(out.ok_or(StoredError::Space)?);
        writer.put(&[VERSION, self.role.number(), self.aead().number()]);
        for protection in [&self.read, &self.write] {
            writer.put(&protection.key);
            writer.put(&protection.salt);
        }
        let (next, seen) = self.received.parts();
        for number in [self.reserved, next, seen] {
            writer.put(&number.to_be_bytes());
        }
        for cid in [&self.own_cid, &self.peer_cid] {
            writer.u8(cid.len() as u8);
            writer.put(cid.as_bytes());
        }
        writer.finish().ok_or(StoredError::Space)
    }

    /// Reads what [`encode`](Self::encode) wrote. No number is reserved.
    ///
    /// # Errors
    /// All but [`StoredError::Space`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        let mut reader = Reader(bytes);
        let [version, role, aead] = reader.array().ok_or(StoredError::Malformed)?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        let role = Role::from_number(role).ok_or(StoredError::Malformed)?;
        let aead = Aead::from_number(aead).ok_or(StoredError::Aead(aead))?;
        Self::decode_rest(role, aead, reader).ok_or(StoredError::Malformed)
    }

    fn decode_rest(role: Role, aead: Aead, mut reader: Reader<'_>) -> Option<Self> {
        let read = Protection::new(aead, &reader.array()?, &reader.array()?);
        let write = Protection::new(aead, &reader.array()?, &reader.array()?);
        let reserved = reader.u64().filter(|reserved| *reserved <= NUMBERS)?;
        let received = Window::from_parts(reader.u64()?, reader.u64()?)?;
        let own_cid = Cid::new(reader.vector8()?).ok()?;
        let peer_cid = Cid::new(reader.vector8()?).ok()?;
        reader.end()?;
        Some(Self {
            role,
            read,
            write,
            own_cid,
            peer_cid,
            received,
            next: reserved,
            usable: reserved,
            reserved,
        })
    }
}

impl Role {
    const fn number(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Client),
            1 => Some(Self::Server),
            _ => None,
        }
    }
}

impl Aead {
    const fn number(self) -> u8 {
        match self {
            Self::Ccm8 => 1,
            #[cfg(feature = "ccm")]
            Self::Ccm => 2,
            #[cfg(feature = "gcm")]
            Self::Gcm => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ccm8),
            #[cfg(feature = "ccm")]
            2 => Some(Self::Ccm),
            #[cfg(feature = "gcm")]
            3 => Some(Self::Gcm),
            _ => None,
        }
    }
}
