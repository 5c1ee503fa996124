//! The OSCORE context of one device, and its records.

use std::fmt;

use lwm2m_objects::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tinsmith_oscore::{MAX_ID, MAX_SALT, Master, MasterError};
use tinsmith_seal::Seal;
use tinsmith_store::{Key, Kind, RecordError, decode, encode};
use zeroize::{Zeroize, Zeroizing};

use crate::entry::{EntryError, KEY, MAX_ENDPOINTS, Origin, Purpose, is_name, is_pattern};

const SCHEMA: u16 = 1;
/// What the ids of these records begin with.
const PREFIX: &[u8] = b"oscore/";
/// Schema of what is stored of the numbers; the content has a version of its own.
const NUMBERS: [u8; 2] = [0, 1];

/// What a device and the server share (RFC 8613 §3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// The name of the device, 1 to [`MAX_ENDPOINTS`] bytes. A context is never for several: two
    /// that seal with the same numbers give each other away.
    pub endpoint: String,
    /// What it opens.
    pub purpose: Purpose,
    /// Where it is from.
    pub origin: Origin,
    /// When it was made, wall time (ms).
    pub made: u64,
    /// The ID that the device's messages carry: its Sender ID, 1 to 7 bytes. No two have the same.
    pub device: Vec<u8>,
    /// The ID that the server's messages carry: the device's Recipient ID, up to 7 bytes.
    pub server: Vec<u8>,
    /// ID Context, if there is one, up to 32 bytes.
    pub id_context: Option<Vec<u8>>,
    /// Master Secret; its length is in [`KEY`].
    pub secret: Zeroizing<Vec<u8>>,
    /// Master Salt, up to 32 bytes.
    pub salt: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    endpoint: String,
    purpose: Purpose,
    origin: Origin,
    made: u64,
    device: Vec<u8>,
    server: Vec<u8>,
    id_context: Option<Vec<u8>>,
    salt: Vec<u8>,
    /// Sealed under the device's ID.
    secret: Vec<u8>,
}

impl Context {
    /// Whether somebody may have it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), EntryError> {
        if !is_name(&self.endpoint, MAX_ENDPOINTS) {
            return Err(EntryError::Endpoints);
        }
        if is_pattern(&self.endpoint) {
            return Err(EntryError::Pattern);
        }
        if !KEY.contains(&self.secret.len()) {
            return Err(EntryError::Key);
        }
        if self.salt.len() > MAX_SALT {
            return Err(EntryError::Salt);
        }
        if !(1..=MAX_ID).contains(&self.device.len()) || self.server.len() > MAX_ID {
            return Err(EntryError::Ids);
        }
        match self.master() {
            Ok(_) => Ok(()),
            Err(MasterError::SameId) => Err(EntryError::SameIds),
            Err(_) => Err(EntryError::IdContext),
        }
    }

    /// The server's view of it.
    pub(crate) fn master(&self) -> Result<Master, MasterError> {
        let master = Master::new(&self.secret, &self.salt, &self.server, &self.device)?;
        match &self.id_context {
            Some(context) => master.with_context(context),
            None => Ok(master),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn identity(&self) -> String {
        identity(&self.device)
    }

    /// Under which the record of an ID is kept.
    #[must_use]
    pub fn store_key(device: &[u8]) -> Key {
        Key::new(Kind::SECRET, [PREFIX, device].concat())
    }

    /// Whether a record of this key is one of these.
    #[must_use]
    pub fn is_one(key: &Key) -> bool {
        key.kind == Kind::SECRET && key.id.starts_with(PREFIX)
    }

    /// Its record, with the secret sealed.
    ///
    /// # Errors
    /// It can't be encoded or sealed.
    pub fn record(&self, seal: &dyn Seal) -> Result<Vec<u8>, RecordError> {
        let key = Self::store_key(&self.device);
        let secret = seal.seal(&key.id, &self.secret);
        let record = Record {
            endpoint: self.endpoint.clone(),
            purpose: self.purpose,
            origin: self.origin,
            made: self.made,
            device: self.device.clone(),
            server: self.server.clone(),
            id_context: self.id_context.clone(),
            salt: self.salt.clone(),
            secret: secret.map_err(RecordError::Content)?,
        };
        encode(SCHEMA, &record)
    }

    /// The inverse of [`record`](Self::record).
    ///
    /// # Errors
    /// It was written by another version, sealed by another key, or changed.
    pub fn read(bytes: &[u8], seal: &dyn Seal) -> Result<Self, RecordError> {
        let mut record: Record = decode(SCHEMA..=SCHEMA, bytes)?;
        let secret = seal.open(&Self::store_key(&record.device).id, &record.secret);
        record.secret.zeroize();
        let context = Self {
            endpoint: record.endpoint,
            purpose: record.purpose,
            origin: record.origin,
            made: record.made,
            device: record.device,
            server: record.server,
            id_context: record.id_context,
            secret: secret.map_err(RecordError::Content)?,
            salt: record.salt,
        };
        let checked = context.check();
        checked.map_err(|error| RecordError::Content(error.to_string()))?;
        Ok(context)
    }

    /// Under which it is kept how these keys were used: the same keys, given again, have the same.
    pub(crate) fn numbers_key(&self) -> Key {
        let mut digest = Sha256::new();
        let context = self.id_context.as_deref();
        let parts: [&[u8]; 4] = [
            self.secret.as_slice(),
            self.salt.as_slice(),
            self.server.as_slice(),
            context.unwrap_or_default(),
        ];
        digest.update([u8::from(context.is_some())]);
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        Key::new(
            Kind::OSCORE,
            [&self.device[..], b"/", &digest[..8]].concat(),
        )
    }

    /// What is kept of how its keys were used: what its crate wrote down, or nothing if they never
    /// were.
    pub(crate) fn numbers(&self, used: &[u8], seal: &dyn Seal) -> Result<Vec<u8>, String> {
        let sealed = seal.seal(&self.numbers_key().id, used)?;
        Ok([&NUMBERS[..], &sealed].concat())
    }

    /// The inverse of [`numbers`](Self::numbers); `None` if it was sealed by another key: after a
    /// restored backup they may have been used since.
    pub(crate) fn read_numbers(&self, record: &[u8], seal: &dyn Seal) -> Option<Vec<u8>> {
        let sealed = record.strip_prefix(&NUMBERS)?;
        let used = seal.open(&self.numbers_key().id, sealed).ok()?;
        Some(used.to_vec())
    }
}

/// What a context is called whose device's messages carry an ID.
pub(crate) fn identity(device: &[u8]) -> String {
    format!("oscore:{}", hex::encode(device))
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("endpoint", &self.endpoint)
            .field("device", &self.device)
            .field("purpose", &self.purpose)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tinsmith_seal::Key as SealingKey;

    pub(crate) fn context(device: &[u8], endpoint: &str) -> Context {
        Context {
            endpoint: endpoint.into(),
            purpose: Purpose::Management,
            origin: Origin::Given,
            made: 7,
            device: device.to_vec(),
            server: b"s".to_vec(),
            id_context: None,
            secret: b"0123456789abcdef".to_vec().into(),
            salt: b"salt".to_vec(),
        }
    }

    #[test]
    fn records_go_both_ways_sealed() {
        let (one, two) = (SealingKey::new(&[1; 32]), SealingKey::new(&[2; 32]));
        let plain = context(b"d", "pump-1");
        let with_context = Context {
            id_context: Some(b"there".to_vec()),
            ..context(b"e", "pump-2")
        };
        for context in [plain, with_context] {
            let record = context.record(&one).unwrap();
            assert_eq!(Context::read(&record, &one), Ok(context.clone()));
            assert!(Context::read(&record, &two).is_err());
            assert!(!record.windows(8).any(|part| part == b"01234567"), "sealed");
            for len in 0..record.len() {
                assert!(Context::read(&record[..len], &one).is_err(), "{len}");
            }
            let numbers = context.numbers(b"used", &one).unwrap();
            let read = context.read_numbers(&numbers, &one);
            assert_eq!(read.as_deref(), Some(&b"used"[..]));
            assert_eq!(context.read_numbers(&numbers, &two), None);
            assert!(Context::is_one(&Context::store_key(&context.device)));
            let shown = format!("{context:?}");
            assert!(!shown.contains("0123") && !shown.contains("48"), "{shown}");
        }
    }

    #[test]
    fn numbers_belong_to_keys() {
        let one = context(b"d", "pump-1");
        let same = Context {
            endpoint: "pump-2".into(),
            purpose: Purpose::Bootstrap,
            made: 9,
            ..one.clone()
        };
        assert_eq!(one.numbers_key(), same.numbers_key());
        let mut others = [one.clone(), one.clone(), one.clone(), one.clone()];
        others[0].secret[0] ^= 1;
        others[1].salt.push(0);
        others[2].server.push(0);
        others[3].id_context = Some(Vec::new());
        for other in others {
            assert_ne!(one.numbers_key(), other.numbers_key());
        }
    }

    #[test]
    fn what_no_context_has() {
        let with = |change: fn(&mut Context)| {
            let mut context = context(b"d", "pump-1");
            change(&mut context);
            context.check()
        };
        assert_eq!(with(|_| ()), Ok(()));
        for (change, error) in [
            (
                (|c| c.endpoint.clear()) as fn(&mut Context),
                EntryError::Endpoints,
            ),
            (|c| c.endpoint = "pump-*".into(), EntryError::Pattern),
            (|c| c.secret.truncate(15), EntryError::Key),
            (|c| c.salt = vec![0; 33], EntryError::Salt),
            (|c| c.device.clear(), EntryError::Ids),
            (|c| c.device = vec![0; 8], EntryError::Ids),
            (|c| c.server = vec![0; 8], EntryError::Ids),
            (|c| c.server = b"d".to_vec(), EntryError::SameIds),
            (|c| c.id_context = Some(vec![0; 33]), EntryError::IdContext),
        ] {
            assert_eq!(with(change), Err(error));
        }
    }
}
