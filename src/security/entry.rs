//! One key, and its record.

use std::fmt;

use serde::{Deserialize, Serialize};
use tinsmith_lwm2m::name_fits;
use tinsmith_seal::Seal;
use tinsmith_store::{Key, Kind, RecordError, decode, encode};
use zeroize::{Zeroize, Zeroizing};

const SCHEMA: u16 = 1;
/// What the ids of these records begin with.
const PREFIX: &[u8] = b"psk/";
/// RFC 4279 §5.3 asks for at least so many bytes of identity; that is all that is taken.
pub const MAX_IDENTITY: usize = 128;
/// Bytes of a key: fewer can be guessed, more no device has to take (RFC 4279 §5.3).
pub const KEY: std::ops::RangeInclusive<usize> = 16..=64;
/// Bytes of an endpoint name, and of a pattern for some.
pub const MAX_ENDPOINTS: usize = 255;

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The bootstrap server, which gives the device another key for management.
    Bootstrap,
    /// Management.
    Management,
}

/// Where a key is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Somebody made it known to the server.
    Given,
    /// The device got it at its bootstrap, and has not registered with it yet.
    Issued,
    /// The same, and it has.
    Used,
}

/// A pre-shared key, whose it is and what it opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the device gives as its identity (RFC 4279), 1 to [`MAX_IDENTITY`] bytes.
    pub identity: String,
    /// The names that it may have: one, or a pattern in which `*` stands for any characters and `?`
    /// for one; 1 to [`MAX_ENDPOINTS`] bytes.
    pub endpoints: String,
    /// What it opens.
    pub purpose: Purpose,
    /// Where it is from.
    pub origin: Origin,
    /// When it was made, wall time (ms).
    pub made: u64,
    /// Only the server and the device have it; its length is in [`KEY`].
    pub key: Zeroizing<Vec<u8>>,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The identity.
    #[error("an identity has 1 to {MAX_IDENTITY} bytes and no control characters")]
    Identity,
    /// The names.
    #[error(
        "endpoint names, or a pattern of them, have 1 to {MAX_ENDPOINTS} bytes and no control \
         characters"
    )]
    Endpoints,
    /// An authority where there is no certificate.
    #[error("an authority vouches for certificates only")]
    Authority,
    /// The name of a context.
    #[error("an OSCORE context is for one endpoint name, without * and ?")]
    Pattern,
    /// The master salt.
    #[error("a master salt has at most 32 bytes")]
    Salt,
    /// The IDs of both ends.
    #[error("a device's ID has 1 to 7 bytes, a server's at most 7")]
    Ids,
    /// They are the same.
    #[error("the device and the server must have different IDs")]
    SameIds,
    /// The ID Context.
    #[error("an ID context has at most 32 bytes")]
    IdContext,
    /// The key.
    #[error("a key has {} to {} bytes", KEY.start(), KEY.end())]
    Key,
}

#[derive(Serialize, Deserialize)]
struct Record {
    identity: String,
    endpoints: String,
    purpose: Purpose,
    origin: Origin,
    made: u64,
    /// Sealed under the identity.
    key: Vec<u8>,
}

/// Whether it stands for some names and not one.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a name is the one, or fits the pattern.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match is_pattern(pattern) {
        true => name_fits(pattern, name),
        false => pattern == name,
    }
}

/// Whether somebody may be called so.
pub(crate) fn is_name(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl Entry {
    /// Whether somebody may have it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), EntryError> {
        if !is_name(&self.identity, MAX_IDENTITY) {
            return Err(EntryError::Identity);
        }
        if !is_name(&self.endpoints, MAX_ENDPOINTS) {
            return Err(EntryError::Endpoints);
        }
        if !KEY.contains(&self.key.len()) {
            return Err(EntryError::Key);
        }
        Ok(())
    }

    /// Whether it is that of one device.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        !is_pattern(&self.endpoints)
    }

    /// Under which the record of an identity is kept.
    #[must_use]
    pub fn store_key(identity: &str) -> Key {
        Key::new(Kind::SECRET, [PREFIX, identity.as_bytes()].concat())
    }

    /// Whether a record of this key is one of these.
    #[must_use]
    pub fn is_one(key: &Key) -> bool {
        key.kind == Kind::SECRET && key.id.starts_with(PREFIX)
    }

    /// Its record, with the key sealed.
    ///
    /// # Errors
    /// It can't be encoded or sealed.
    pub fn record(&self, seal: &dyn Seal) -> Result<Vec<u8>, RecordError> {
        let key = seal.seal(self.identity.as_bytes(), &self.key);
        let record = Record {
            identity: self.identity.clone(),
            endpoints: self.endpoints.clone(),
            purpose: self.purpose,
            origin: self.origin,
            made: self.made,
            key: key.map_err(RecordError::Content)?,
        };
        encode(SCHEMA, &record)
    }

    /// The inverse of [`record`](Self::record).
    ///
    /// # Errors
    /// It was written by another version, sealed by another key, or changed.
    pub fn read(bytes: &[u8], seal: &dyn Seal) -> Result<Self, RecordError> {
        let mut record: Record = decode(SCHEMA..=SCHEMA, bytes)?;
        let key = seal.open(record.identity.as_bytes(), &record.key);
        record.key.zeroize();
        let entry = Self {
            identity: record.identity,
            endpoints: record.endpoints,
            purpose: record.purpose,
            origin: record.origin,
            made: record.made,
            key: key.map_err(RecordError::Content)?,
        };
        let checked = entry.check();
        checked.map_err(|error| RecordError::Content(error.to_string()))?;
        Ok(entry)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("identity", &self.identity)
            .field("endpoints", &self.endpoints)
            .field("purpose", &self.purpose)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinsmith_seal::Key as SealingKey;

    fn key(first: u8) -> SealingKey {
        SealingKey::new(&[first; 32])
    }

    fn entry(identity: &str, endpoints: &str, key: usize) -> Entry {
        Entry {
            identity: identity.into(),
            endpoints: endpoints.into(),
            purpose: Purpose::Management,
            origin: Origin::Given,
            made: 7,
            key: vec![7; key].into(),
        }
    }

    #[test]
    fn a_record_goes_both_ways() {
        let entry = entry("urn:dev:1", "pump-*", 32);
        let record = entry.record(&key(1)).unwrap();
        assert_eq!(Entry::read(&record, &key(1)), Ok(entry.clone()));
        assert!(!record.windows(8).any(|part| part == [7; 8]), "sealed");
        assert!(Entry::read(&record, &key(2)).is_err());
        let id = Entry::store_key(&entry.identity);
        assert!(Entry::is_one(&id));
        assert!(!Entry::is_one(&Key::new(Kind::SECRET, "token/1")));
        for len in 0..record.len() {
            assert!(Entry::read(&record[..len], &key(1)).is_err(), "{len}");
        }
    }

    #[test]
    fn a_key_is_of_its_identity_only() {
        let seal: SealingKey = key(1);
        let record = entry("one", "a", 16).record(&seal).unwrap();
        let other = String::from_utf8_lossy(&record).into_owned();
        assert!(other.contains("one"));
        let at = record.windows(3).position(|part| part == b"one").unwrap();
        let mut moved = record;
        moved[at..at + 3].copy_from_slice(b"two");
        assert!(Entry::read(&moved, &seal).is_err());
    }

    #[test]
    fn what_no_entry_has() {
        assert_eq!(entry("a", "a", 16).check(), Ok(()));
        assert_eq!(entry("", "a", 16).check(), Err(EntryError::Identity));
        assert_eq!(entry("a\n", "a", 16).check(), Err(EntryError::Identity));
        let long = "a".repeat(129);
        assert_eq!(entry(&long, "a", 16).check(), Err(EntryError::Identity));
        assert_eq!(entry("a", "", 16).check(), Err(EntryError::Endpoints));
        assert_eq!(entry("a", "a", 15).check(), Err(EntryError::Key));
        assert_eq!(entry("a", "a", 65).check(), Err(EntryError::Key));
    }

    #[test]
    fn a_key_is_never_shown() {
        let mut entry = entry("a", "b", 16);
        entry.key = b"0123456789abcdef".to_vec().into();
        let shown = format!("{entry:?}");
        assert!(!shown.contains("48") && !shown.contains("0123"), "{shown}");
    }
}
