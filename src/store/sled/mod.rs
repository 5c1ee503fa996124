//! The default store: sled behind a journal with group commit.
//!
//! sled's own flush uses `sync_file_range`, which survives the death of the process but not that
//! of the machine, and costs several writes. So each group of batches is written to a journal, one
//! write that is durable when it returns: what comes meanwhile is the next group. Then the proof is
//! written, so it is never ahead of the journal; it is synced at most 20 times a second. What is
//! durable goes to the database, which may be a little behind: reads wait for it. After an
//! write that failed nothing is promised any more, since the kernel may have dropped what it
//! could not write: every later commit fails until a restart.

mod applier;
mod behind;
mod blocks;
mod journal;
mod open;
mod progress;
mod replay;
mod restore;
mod segments;
mod table;
mod value;
mod writer;

use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::archive::{ArchiveError, Records, Summary};
use super::space::{self, Room};
use super::{
    Batch, Committed, Health, Key, Kind, Loss, MAX_PAGE, Mark, Pending, Store, StoreError, Stored,
};
use progress::Progress;
use table::Table;
use value::{io, split};
use writer::Job;

/// Batches that may wait for the writer; more callers wait in line.
const QUEUE: usize = 16 * 1024;
/// How often it is seen whether the disk has room.
const LOOK: Duration = Duration::from_millis(10);

/// sled 0.34 in the folder `records` of a store, with its proof in the file `proof`.
pub struct SledStore {
    db: ::sled::Db,
    queue: mpsc::SyncSender<Job>,
    writer: Option<JoinHandle<()>>,
    state: Arc<State>,
}

/// What the threads share.
struct State {
    folder: PathBuf,
    table: Table,
    syncs: AtomicU64,
    progress: Progress,
    condition: Mutex<Condition>,
}

#[derive(Default)]
struct Condition {
    room: Room,
    /// When the disk was asked last.
    looked: Option<Instant>,
    /// Why nothing is stored any more.
    failed: Option<String>,
}

impl State {
    /// How it is now; a change is told in the log.
    fn health(&self) -> Health {
        let mut condition = self
            .condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &condition.failed {
            return Health::Failed(reason.clone());
        }
        let now = Instant::now();
        if !condition.room.full
            && condition
                .looked
                .is_some_and(|looked| now.duration_since(looked) < LOOK)
        {
            return Health::Good;
        }
        condition.looked = Some(now);
        // A disk that can't be asked is told by the next write.
        if let Ok(free) = space::free(&self.folder)
            && condition.room.look(free)
        {
            if condition.room.full {
                tracing::error!("the disk of the store is full: nothing is stored");
            } else {
                tracing::warn!("the disk of the store has room again");
            }
        }
        if condition.room.full {
            return Health::Full;
        }
        Health::Good
    }

    /// For good.
    fn fail(&self, error: &StoreError) {
        let mut condition = self
            .condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if condition.failed.is_none() {
            tracing::error!(%error, "nothing is stored any more by this process");
            condition.failed = Some(error.to_string());
        }
    }
}

impl SledStore {
    /// Opens or creates the store in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if something that was durable is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::start(folder, false)
    }

    /// The same, going on with what is there. A database that can't be read is set aside.
    ///
    /// # Errors
    /// The disk, or another process that has the store.
    pub fn open_with_loss(folder: &Path) -> Result<Self, StoreError> {
        Self::start(folder, true)
    }

    /// How far the store in `folder` is, and what it has lost; it is left as it is.
    ///
    /// # Errors
    /// There is none, or a process has it.
    pub fn check(folder: &Path) -> Result<(Mark, Option<Loss>), StoreError> {
        open::check(folder)
    }

    /// Makes the store `folder`, which must be absent or empty, from a backup: all of it or nothing.
    ///
    /// # Errors
    /// The backup is damaged, or the disk.
    pub fn restore(from: impl Read, folder: &Path) -> Result<Summary, ArchiveError> {
        restore::restore(from, folder)
    }

    fn start(folder: &Path, accept_loss: bool) -> Result<Self, StoreError> {
        let (opened, table) = open::open(folder, accept_loss)?;
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let state = Arc::new(State {
            folder: folder.to_path_buf(),
            table,
            syncs: AtomicU64::new(0),
            progress: Progress::new(opened.mark.sequence),
            condition: Mutex::default(),
        });
        let db = opened.db.clone();
        let writer = writer::start(opened, jobs, &state)?;
        Ok(SledStore {
            db,
            queue,
            writer: Some(writer),
            state,
        })
    }

    /// How often the database was synced: once for each group of batches.
    pub fn syncs(&self) -> u64 {
        self.state.syncs.load(Ordering::Relaxed)
    }

    fn send(&self, job: Job) {
        if let Err(mpsc::SendError(job)) = self.queue.send(job) {
            job.refuse(StoreError::Closed);
        }
    }
}

impl Drop for SledStore {
    /// Commits what is queued and waits for it.
    fn drop(&mut self) {
        self.send(Job::End);
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
        if table::holds(&first) {
            let from = from.as_ref().map(Vec::as_slice);
            let found = self.state.table.page(&first, from, limit.min(MAX_PAGE));
            for (key, value) in found.map_err(io)? {
                page.push((named(&key)?, split(&value)?));
            }
            return Ok(page);
        }
        for item in self.db.range((from, Bound::Unbounded)) {
            let (key, value) = item.map_err(io)?;
            if !key.starts_with(&first) || page.len() >= limit.min(MAX_PAGE) {
                break;
            }
            page.push((named(&key)?, split(&value)?));
        }
        Ok(page)
    }
}

fn named(key: &[u8]) -> Result<Key, StoreError> {
    Key::from_bytes(key).ok_or_else(|| io("a key is truncated"))
}

impl Store for SledStore {
    fn commit_with(&self, batch: Batch, done: Committed) {
        self.send(Job::Commit(batch, done));
    }

    fn health(&self) -> Health {
        self.state.health()
    }

    fn export(&self, to: Records) -> Pending<'_, Result<Records, StoreError>> {
        let (done, exported) = oneshot::channel();
        self.send(Job::Export(to, done));
        Box::pin(async move { exported.await.unwrap_or(Err(StoreError::Closed)) })
    }

    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            let key = key.to_bytes();
            if table::holds(&key) {
                let found = self.state.table.get(&key).map_err(io)?;
                return found.map(|value| split(&value)).transpose();
            }
            self.state.progress.caught_up().await;
            let found = self.db.get(key).map_err(io)?;
            found.map(|value| split(&value)).transpose()
        })
    }

    fn scan<'a>(
        &'a self,
        kind: Kind,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Pending<'a, Result<Vec<(Key, Stored)>, StoreError>> {
        Box::pin(async move {
            self.state.progress.caught_up().await;
            self.page(kind, prefix, after, limit)
        })
    }
}

#[cfg(test)]
mod tests;
