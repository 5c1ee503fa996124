//! What must survive a restart: small records, committed atomically, and content-addressed files.
//!
//! A [`Store`] knows nothing of what it keeps. Keys begin with a tenant and a [`Kind`], records
//! with the version of their schema. Anything bigger than [`MAX_RECORD`] belongs in [`files`].

pub mod archive;
mod content;
pub mod files;
mod loss;
pub mod memory;
pub mod private;
mod proof;
mod record;
pub mod sled;
pub mod space;

use std::future::Future;
use std::pin::Pin;

use futures_channel::oneshot;

pub use content::{Content, Mark};
pub use files::{Digest, Files};
pub use loss::Loss;
pub use memory::MemoryStore;
pub use record::{RecordError, decode, encode, schema};
pub use sled::SledStore;

/// The most bytes a record may have, its schema version included.
pub const MAX_RECORD: usize = 64 * 1024;
/// The most bytes the id of a key may have; an endpoint name has at most 255.
pub const MAX_ID: usize = 512;
/// The most records one page of a scan may have.
pub const MAX_PAGE: usize = 10_000;

/// A future as trait objects can return it.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a record is about. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Of the store itself.
    pub const META: Kind = Kind(0);
    /// Registrations, with their observations.
    pub const REGISTRATION: Kind = Kind(1);
    /// Requests to devices that wait to be sent.
    pub const REQUEST: Kind = Kind(2);
    /// What an operator wants a device to run, and the attempt that is under way.
    pub const DEVICE: Kind = Kind(3);
    /// Models of the zoo.
    pub const MODEL: Kind = Kind(4);
    /// Results of builds, by build key.
    pub const BUILD: Kind = Kind(5);
    /// Capabilities, by digest.
    pub const CAPABILITY: Kind = Kind(6);
    /// History of updates, per device.
    pub const HISTORY: Kind = Kind(7);
    /// Records that could not be read and whose place was needed: see [`Op::set_aside`].
    pub const ASIDE: Kind = Kind(8);
    /// DTLS associations, keys included, by number.
    pub const ASSOCIATION: Kind = Kind(14);
    /// Keys and passwords.
    pub const SECRET: Kind = Kind(15);
    /// Tokens of the HTTP API, by the digest of their secret.
    pub const TOKEN: Kind = Kind(16);
    /// What was changed, by whom; by number.
    pub const AUDIT: Kind = Kind(17);
    /// How OSCORE contexts were used, by the device's ID and a digest of the keys. No keys.
    pub const OSCORE: Kind = Kind(18);
}

/// The name of a record; sorted by tenant, kind, id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// 0: there is one tenant for now.
    pub tenant: u16,
    /// What the record is about.
    pub kind: Kind,
    /// Unique within tenant and kind.
    pub id: Vec<u8>,
}

impl Key {
    /// A key of tenant 0.
    pub fn new(kind: Kind, id: impl Into<Vec<u8>>) -> Self {
        Key {
            tenant: 0,
            kind,
            id: id.into(),
        }
    }

    /// As stored: tenant (big endian), kind, id; sorts as `Key` does.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 + self.id.len());
        bytes.extend_from_slice(&self.tenant.to_be_bytes());
        bytes.push(self.kind.0);
        bytes.extend_from_slice(&self.id);
        bytes
    }

    /// The inverse of [`Key::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[t0, t1, kind], id) = bytes.split_first_chunk::<3>()?;
        Some(Key {
            tenant: u16::from_be_bytes([t0, t1]),
            kind: Kind(kind),
            id: id.to_vec(),
        })
    }
}

/// Grows with every commit; a record carries that of its last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// When it was written last.
    pub version: Version,
    /// Schema version (u16, big endian), then the content; see [`encode`] and [`decode`].
    pub bytes: Vec<u8>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write the record, which may exist.
    Put(Key, Vec<u8>),
    /// Remove the record, which may be absent.
    Delete(Key),
}

impl Op {
    /// Keeps a record that can't be read under another key, for a batch that writes a new one in
    /// its place: what one version of the program can't read, another can. The id is the kind,
    /// the version (u64, big endian) and the id of the record.
    pub fn set_aside(key: &Key, stored: &Stored) -> Self {
        let mut id = Vec::with_capacity(9 + key.id.len());
        id.push(key.kind.0);
        id.extend_from_slice(&stored.version.0.to_be_bytes());
        id.extend_from_slice(&key.id);
        let aside = Key {
            tenant: key.tenant,
            kind: Kind::ASIDE,
            id,
        };
        Op::Put(aside, stored.bytes.clone())
    }
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must hold when the batch is committed; `None`: the key must be absent.
    pub expect: Vec<(Key, Option<Version>)>,
    /// The changes, in order.
    pub ops: Vec<Op>,
}

impl Batch {
    /// A batch with one write.
    pub fn put(key: Key, record: Vec<u8>) -> Self {
        Batch {
            expect: Vec::new(),
            ops: vec![Op::Put(key, record)],
        }
    }

    /// A batch with one removal.
    pub fn delete(key: Key) -> Self {
        Batch {
            expect: Vec::new(),
            ops: vec![Op::Delete(key)],
        }
    }
}

/// Why the store could not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An expectation of the batch did not hold; nothing was changed.
    #[error("a record changed under the batch: expected {expected:?}, found {found:?}")]
    Conflict {
        /// The expected version.
        expected: Option<Version>,
        /// The version that is stored.
        found: Option<Version>,
    },
    /// A record or key is too big, a bug of the caller.
    #[error("record of {0} bytes is over the limit")]
    TooBig(usize),
    /// The disk, or the library on it, failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// The disk has no room. Nothing was changed, and it works again when there is room.
    #[error("the disk of the store is full; nothing is stored until there is room again")]
    Full,
    /// Something that was durable is not there; the store was not opened.
    #[error("the store has lost data: {0}")]
    Lost(#[from] Loss),
    /// Another process has the store.
    #[error("the store belongs to another process that is running")]
    InUse,
    /// The store was shut down.
    #[error("the store is closed")]
    Closed,
}

/// Whether a store takes what it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    #[default]
    Good,
    /// Not now: the disk has no room. It does again by itself.
    Full,
    /// Not in this process any more, for this reason.
    Failed(String),
}

/// Called once, from any thread, when a commit is durable or has failed.
pub type Committed = Box<dyn FnOnce(Result<Version, StoreError>) + Send>;

/// Records that survive a restart.
pub trait Store: Send + Sync {
    /// Queues a batch. Batches take effect in the order of the calls. `done` is called when the
    /// batch is durable; until then neither reads nor a restart need to see it.
    fn commit_with(&self, batch: Batch, done: Committed);

    /// Reads one record.
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Option<Stored>, StoreError>>;

    /// Reads records of `tenant` and `kind` whose ids begin with `prefix`, in order, at most
    /// `limit` (capped at [`MAX_PAGE`]) of them and only those behind `after`. A page that is
    /// shorter than the limit is the last.
    fn scan<'a>(
        &'a self,
        kind: Kind,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Pending<'a, Result<Vec<(Key, Stored)>, StoreError>>;

    /// Whether commits are taken.
    fn health(&self) -> Health {
        Health::Good
    }

    /// Writes all records, as they are at one moment between commits, for a backup.
    fn export(&self, to: archive::Records) -> Pending<'_, Result<archive::Records, StoreError>>;
}

impl dyn Store {
    /// Commits a batch: it is queued at once, the future only waits until it is durable.
    pub fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Version, StoreError>> + Send + use<> {
        let (done, committed) = oneshot::channel();
        self.commit_with(batch, Box::new(move |result| drop(done.send(result))));
        async move { committed.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// Reads all records of a kind, page by page.
    pub async fn load(&self, kind: Kind) -> Result<Vec<(Key, Stored)>, StoreError> {
        let mut all: Vec<(Key, Stored)> = Vec::new();
        loop {
            let last = all.last().map(|(key, _)| key.clone());
            let page = self.scan(kind, &[], last.as_ref(), MAX_PAGE).await?;
            let end = page.len() < MAX_PAGE;
            all.extend(page);
            if end {
                return Ok(all);
            }
        }
    }
}

fn check(batch: &Batch) -> Result<(), StoreError> {
    for op in &batch.ops {
        let (key, len) = match op {
            Op::Put(key, record) => (key, record.len()),
            Op::Delete(key) => (key, 0),
        };
        if len > MAX_RECORD || key.id.len() > MAX_ID {
            return Err(StoreError::TooBig(len.max(key.id.len())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_bytes() {
        let a = Key::new(Kind::REGISTRATION, "a");
        let ab = Key::new(Kind::REGISTRATION, "ab");
        let b = Key::new(Kind::REGISTRATION, "b");
        let other = Key::new(Kind::DEVICE, "");
        assert!(a < ab && ab < b && b < other);
        assert!(a.to_bytes() < ab.to_bytes() && ab.to_bytes() < b.to_bytes());
        assert!(b.to_bytes() < other.to_bytes());
        assert_eq!(Key::from_bytes(&ab.to_bytes()), Some(ab));
        assert_eq!(Key::from_bytes(&[0, 0]), None);
    }
}
