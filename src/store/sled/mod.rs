//! The default store: sled behind one writer thread with group commit.
//!
//! sled's own flush uses `sync_file_range`, which survives the death of the process but not that
//! of the machine, so each group ends with an `fdatasync` of sled's file, on a thread of its own:
//! the next group is written meanwhile. Check: `strace -f -e trace=fdatasync tinsmith serve` shows
//! one for each group. After an `fdatasync` that failed nothing is promised any more, since the
//! kernel may have dropped what it could not write: every later commit fails until a restart.

mod writer;

use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Batch, Committed, Key, Kind, MAX_PAGE, Pending, Store, StoreError, Stored};
use writer::{Job, io, split};

/// Batches that may wait for the writer; more callers wait in line.
const QUEUE: usize = 16 * 1024;

/// How often, ten times a second, a store that is locked is tried again.
const OPEN_TRIES: u32 = 20;

/// sled 0.34 in a folder of its own.
pub struct SledStore {
    db: ::sled::Db,
    queue: Option<mpsc::SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    syncs: Arc<AtomicU64>,
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
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let syncs = Arc::new(AtomicU64::new(0));
        let writer = writer::start(db.clone(), file, jobs, Arc::clone(&syncs))?;
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
mod tests;
