//! The default store: sled behind one writer thread with group commit.
//!
//! sled's own flush uses `sync_file_range`, which survives the death of the process but not that
//! of the machine, so each group ends with an `fdatasync` of sled's file, on a thread of its own:
//! the next group is written meanwhile. Check: `strace -f -e trace=fdatasync tinsmith serve` shows
//! one for each group. After an `fdatasync` that failed nothing is promised any more, since the
//! kernel may have dropped what it could not write: every later commit fails until a restart.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ::sled::IVec;

use super::{
    Batch, Committed, Key, Kind, MAX_PAGE, Op, Pending, Store, StoreError, Stored, Version, check,
};

/// Batches that may wait for the writer; more callers wait in line.
const QUEUE: usize = 16 * 1024;
/// Batches that share one sync at most.
const GROUP: usize = 4096;

/// How often, ten times a second, a store that is locked is tried again.
const OPEN_TRIES: u32 = 20;
/// Groups that may wait for a sync while one is under way.
const GROUPS: usize = 1;

struct Job {
    batch: Batch,
    done: Committed,
}

/// sled 0.34 in a folder of its own.
pub struct SledStore {
    db: ::sled::Db,
    queue: Option<mpsc::SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    syncs: Arc<AtomicU64>,
}

fn io(error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(error.to_string())
}

/// Of the record that keeps the number of the last commit.
fn sequence_key() -> Vec<u8> {
    Key::new(Kind::META, "sequence").to_bytes()
}

impl SledStore {
    /// Opens or creates the store in `folder`.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let config = ::sled::Config::new()
            .path(folder)
            .cache_capacity(64 << 20)
            .flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                // sled gives its lock up a little after its last handle is dropped, and a process
                // that is being replaced a little after its successor begins.
                Err(error) if tries < OPEN_TRIES && error.to_string().contains("acquire lock") => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(io(error)),
            }
        };
        let file = File::open(folder.join("db")).map_err(io)?;
        // The names of new files must be durable too.
        File::open(folder).and_then(|f| f.sync_all()).map_err(io)?;
        let sequence = match db.get(sequence_key()).map_err(io)? {
            Some(bytes) => u64::from_be_bytes(
                bytes
                    .as_ref()
                    .try_into()
                    .map_err(|_| io("bad sequence record"))?,
            ),
            None => 0,
        };
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let syncs = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            db: db.clone(),
            sequence,
        };
        let (synced, groups) = mpsc::sync_channel(GROUPS);
        let syncer = Syncer {
            file,
            syncs: Arc::clone(&syncs),
        };
        let syncer = std::thread::Builder::new()
            .name("store-sync".into())
            .spawn(move || syncer.run(&groups))
            .map_err(io)?;
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                writer.run(&jobs, synced);
                let _ = syncer.join();
            })
            .map_err(io)?;
        Ok(SledStore {
            db,
            queue: Some(queue),
            writer: Some(writer),
            syncs,
        })
    }

    /// How often the file was synced: once for each group of batches.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

impl Drop for SledStore {
    /// Commits what is queued and waits for it.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Who waits for a group, and what each will be told once it is durable.
type Group = Vec<(Committed, Result<Version, StoreError>)>;

struct Writer {
    db: ::sled::Db,
    sequence: u64,
}

impl Writer {
    // The syncer ends when `synced` is dropped, after the last group.
    #[allow(clippy::needless_pass_by_value)]
    fn run(mut self, jobs: &mpsc::Receiver<Job>, synced: mpsc::SyncSender<Group>) {
        while let Ok(first) = jobs.recv() {
            let mut finished = Group::new();
            let mut group = ::sled::Batch::default();
            let mut overlay: HashMap<IVec, Option<Version>> = HashMap::new();
            let before = self.sequence;
            let mut next = Some(first);
            while let Some(job) = next {
                let result = self.stage(job.batch, &mut group, &mut overlay);
                finished.push((job.done, result));
                next = if finished.len() < GROUP {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            if self.sequence > before {
                group.insert(sequence_key(), &self.sequence.to_be_bytes());
                if let Err(error) = self.write(group) {
                    for (_, result) in &mut finished {
                        *result = Err(error.clone());
                    }
                }
            }
            if let Err(mpsc::SendError(group)) = synced.send(finished) {
                tell(group, Some(&StoreError::Closed));
            }
        }
    }

    fn stage(
        &mut self,
        batch: Batch,
        group: &mut ::sled::Batch,
        overlay: &mut HashMap<IVec, Option<Version>>,
    ) -> Result<Version, StoreError> {
        check(&batch)?;
        for (key, expected) in &batch.expect {
            let key = key.to_bytes();
            let found = match overlay.get(key.as_slice()) {
                Some(version) => *version,
                None => {
                    let bytes = self.db.get(&key).map_err(io)?;
                    bytes.map(|b| split(&b).map(|s| s.version)).transpose()?
                }
            };
            if found != *expected {
                return Err(StoreError::Conflict {
                    expected: *expected,
                    found,
                });
            }
        }
        self.sequence += 1;
        let version = Version(self.sequence);
        for op in batch.ops {
            match op {
                Op::Put(key, record) => {
                    let key = IVec::from(key.to_bytes());
                    let mut value = Vec::with_capacity(8 + record.len());
                    value.extend_from_slice(&version.0.to_be_bytes());
                    value.extend_from_slice(&record);
                    overlay.insert(key.clone(), Some(version));
                    group.insert(key, value);
                }
                Op::Delete(key) => {
                    let key = IVec::from(key.to_bytes());
                    overlay.insert(key.clone(), None);
                    group.remove(key);
                }
            }
        }
        Ok(version)
    }

    fn write(&self, group: ::sled::Batch) -> Result<(), StoreError> {
        self.db.apply_batch(group).map_err(io)?;
        self.db.flush().map_err(io)?;
        Ok(())
    }
}

struct Syncer {
    file: File,
    syncs: Arc<AtomicU64>,
}

impl Syncer {
    fn run(&self, groups: &mpsc::Receiver<Group>) {
        let mut failed = None;
        while let Ok(mut group) = groups.recv() {
            while let Ok(more) = groups.try_recv() {
                group.extend(more);
            }
            if failed.is_none() {
                match self.file.sync_data() {
                    Ok(()) => {
                        self.syncs.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => failed = Some(io(error)),
                }
            }
            tell(group, failed.as_ref());
        }
    }
}

fn tell(group: Group, failed: Option<&StoreError>) {
    for (done, result) in group {
        done(match failed {
            Some(error) => result.and(Err(error.clone())),
            None => result,
        });
    }
}

fn split(value: &[u8]) -> Result<Stored, StoreError> {
    let (version, bytes) = value
        .split_first_chunk::<8>()
        .ok_or_else(|| io("a record is truncated"))?;
    Ok(Stored {
        version: Version(u64::from_be_bytes(*version)),
        bytes: bytes.to_vec(),
    })
}

impl SledStore {
    fn page(
        &self,
        kind: Kind,
        prefix: &[u8],
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Stored)>, StoreError> {
        let first = Key::new(kind, prefix).to_bytes();
        let from = match after.map(Key::to_bytes) {
            Some(key) if key >= first => Bound::Excluded(key),
            _ => Bound::Included(first.clone()),
        };
        let mut page = Vec::new();
        for item in self.db.range((from, Bound::Unbounded)) {
            let (key, value) = item.map_err(io)?;
            if !key.starts_with(&first) || page.len() >= limit.min(MAX_PAGE) {
                break;
            }
            let key = Key::from_bytes(&key).ok_or_else(|| io("a key is truncated"))?;
            page.push((key, split(&value)?));
        }
        Ok(page)
    }
}

impl Store for SledStore {
    fn commit_with(&self, batch: Batch, done: Committed) {
        let Some(queue) = &self.queue else {
            return done(Err(StoreError::Closed));
        };
        if let Err(mpsc::SendError(job)) = queue.send(Job { batch, done }) {
            (job.done)(Err(StoreError::Closed));
        }
    }

    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Option<Stored>, StoreError>> {
        let found = self
            .db
            .get(key.to_bytes())
            .map_err(io)
            .and_then(|v| v.map(|b| split(&b)).transpose());
        Box::pin(std::future::ready(found))
    }

    fn scan<'a>(
        &'a self,
        kind: Kind,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Pending<'a, Result<Vec<(Key, Stored)>, StoreError>> {
        Box::pin(std::future::ready(self.page(kind, prefix, after, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(store: &SledStore, batch: Batch) -> Result<Version, StoreError> {
        let (tx, rx) = mpsc::channel();
        store.commit_with(batch, Box::new(move |result| tx.send(result).unwrap()));
        rx.recv().unwrap()
    }

    fn key(id: &str) -> Key {
        Key::new(Kind::DEVICE, id)
    }

    #[test]
    fn keeps_records_over_a_restart_and_checks_expectations() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        let v1 = commit(&store, Batch::put(key("a"), vec![0, 1, 5])).unwrap();
        let batch = Batch {
            expect: vec![(key("a"), Some(v1)), (key("b"), None)],
            ops: vec![Op::Delete(key("a")), Op::Put(key("b"), vec![0, 1])],
        };
        let v2 = commit(&store, batch.clone()).unwrap();
        assert_eq!(
            commit(&store, batch),
            Err(StoreError::Conflict {
                expected: Some(v1),
                found: None
            })
        );
        assert!(store.syncs() >= 2);
        drop(store);
        let store = SledStore::open(dir.path()).unwrap();
        assert_eq!(store.page(Kind::DEVICE, b"", None, 10).unwrap().len(), 1);
        let v3 = commit(&store, Batch::put(key("c"), vec![0, 1])).unwrap();
        assert!(v3 > v2);
    }

    #[test]
    fn pages_in_order_and_within_the_kind() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        for i in 0..25 {
            commit(&store, Batch::put(key(&format!("x{i:02}")), vec![0, 1])).unwrap();
        }
        commit(&store, Batch::put(Key::new(Kind::MODEL, "x"), vec![0, 1])).unwrap();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.page(Kind::DEVICE, b"x", after.as_ref(), 10).unwrap();
            after = page.last().map(|(k, _)| k.clone());
            let end = page.len() < 10;
            seen.extend(page);
            if end {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
        assert!(seen.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn queued_batches_share_a_sync() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        let (tx, rx) = mpsc::channel();
        for i in 0..2000 {
            let tx = tx.clone();
            let batch = Batch::put(key(&format!("{i}")), vec![0, 1, 2, 3]);
            store.commit_with(batch, Box::new(move |r| tx.send(r.is_ok()).unwrap()));
        }
        assert!((0..2000).all(|_| rx.recv().unwrap()));
        assert!(store.syncs() < 1000, "{} syncs", store.syncs());
        let page = store.page(Kind::DEVICE, b"", None, 5000).unwrap();
        assert_eq!(page.len(), 2000);
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        let big = Batch::put(key("a"), vec![0; super::super::MAX_RECORD + 1]);
        assert!(matches!(commit(&store, big), Err(StoreError::TooBig(_))));
    }
}
