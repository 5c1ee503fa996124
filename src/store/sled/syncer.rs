//! The threads behind the writer's: one syncs the journal, gives each group to the database and
//! tells; two more sync the proof and the database, at leisure.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::journal;
use super::value::{io, sequence_key};
use crate::archive::Records;
use crate::proof::ProofFile;
use crate::{Committed, Mark, StoreError, Version};

/// The proof is synced at most once in this time.
const PROOF_PAUSE: Duration = Duration::from_millis(50);

/// A key and its value as stored; `None`: there is none.
pub(super) type Values = HashMap<Vec<u8>, Option<IVec>>;

/// Who waits, and what each is told.
pub(super) type Waiting = Vec<(Committed, Result<Version, StoreError>)>;

/// What the second thread does, in this order.
pub(super) enum Work {
    Group(Group),
    /// The other file of the journal is written from now on.
    Turned,
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
}

/// A group in the journal.
pub(super) struct Group {
    pub(super) waiting: Waiting,
    /// In which file it is; `None`: it changes nothing.
    pub(super) file: Option<usize>,
    pub(super) mark: Mark,
    pub(super) changes: Arc<Values>,
}

pub(super) struct Syncer {
    pub(super) db: ::sled::Db,
    pub(super) database: Database,
    /// What the database has.
    pub(super) mark: Mark,
    pub(super) applied: Arc<AtomicU64>,
    pub(super) files: [Arc<File>; journal::FILES],
    pub(super) proof: ProofFile,
    /// Tells the third thread that the proof was written.
    pub(super) written: mpsc::SyncSender<()>,
    /// Tells the fourth thread that a file of the journal is full.
    pub(super) full: mpsc::SyncSender<()>,
    pub(super) state: Arc<State>,
}

impl Syncer {
    pub(super) fn run(mut self, works: &mpsc::Receiver<Work>) {
        let mut failed = None;
        let mut next = None;
        while let Some(work) = next.take().or_else(|| works.recv().ok()) {
            let mut groups = match work {
                Work::Group(group) => vec![group],
                Work::Turned => {
                    let _ = self.full.send(());
                    continue;
                }
                Work::Export(to, done) => {
                    drop(done.send(self.export(to)));
                    continue;
                }
            };
            // One sync for all that waits.
            while next.is_none()
                && let Ok(more) = works.try_recv()
            {
                match more {
                    Work::Group(group) => groups.push(group),
                    other => next = Some(other),
                }
            }
            if failed.is_none()
                && let Err(error) = self.store(&groups)
            {
                self.state.fail(&error);
                failed = Some(error);
            }
            for group in groups {
                tell(group.waiting, failed.as_ref());
            }
        }
    }

    /// Only what is durable in the journal gets into the database: what the database has may
    /// become durable at any moment, any part of it first.
    fn store(&mut self, groups: &[Group]) -> Result<(), StoreError> {
        let mut files: Vec<_> = groups.iter().filter_map(|group| group.file).collect();
        files.dedup();
        for file in &files {
            self.files[*file].sync_data().map_err(io)?;
            self.state.syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.database.sync().map_err(io)?;
        for group in groups.iter().filter(|group| group.file.is_some()) {
            for (key, value) in &*group.changes {
                match value {
                    Some(value) => self.db.insert(key, value),
                    None => self.db.remove(key),
                }
                .map_err(io)?;
            }
            self.mark = group.mark;
        }
        if files.is_empty() {
            return Ok(());
        }
        self.db
            .insert(sequence_key(), &self.mark.to_bytes()[..])
            .map_err(io)?;
        self.applied.store(self.mark.sequence, Ordering::Release);
        self.proof.write(&self.mark).map_err(io)?;
        // One wish that waits is enough: it is for what was written last.
        let _ = self.written.try_send(());
        Ok(())
    }

    fn export(&self, mut to: Records) -> Result<Records, StoreError> {
        let own = sequence_key();
        for item in self.db.iter() {
            let (key, value) = item.map_err(io)?;
            if key != own {
                to.record(&key, &value).map_err(io)?;
            }
        }
        to.mark = self.mark;
        Ok(to)
    }
}

/// The file of the database, which sled writes by itself, half a megabyte at a time.
pub(super) struct Database {
    file: File,
    /// When it was written last, as of the last sync.
    synced: Option<SystemTime>,
}

impl Database {
    pub(super) fn new(file: File) -> Self {
        Self { file, synced: None }
    }

    /// Makes durable what sled has written since: after a power cut it can open a database of which
    /// one write is torn, but not one where a later write is there and an earlier one is not.
    fn sync(&mut self) -> std::io::Result<()> {
        let modified = self.file.metadata()?.modified()?;
        if self.synced != Some(modified) {
            self.file.sync_data()?;
            self.synced = Some(modified);
        }
        Ok(())
    }
}

/// Makes durable in the database what is in a file of the journal that is full.
pub(super) fn sync_database(
    db: &::sled::Db,
    file: &File,
    turns: &mpsc::Receiver<()>,
    retired: &mpsc::SyncSender<()>,
    state: &State,
) {
    while let Ok(()) = turns.recv() {
        let synced = db.flush().map_err(io);
        if let Err(error) = synced.and_then(|_| file.sync_data().map_err(io)) {
            return state.fail(&error);
        }
        if retired.send(()).is_err() {
            return;
        }
    }
}

pub(super) fn sync_proof(file: &File, wishes: &mpsc::Receiver<()>, state: &State) {
    while let Ok(()) = wishes.recv() {
        if let Err(error) = file.sync_data() {
            return state.fail(&io(error));
        }
        std::thread::sleep(PROOF_PAUSE);
    }
}

pub(super) fn tell(waiting: Waiting, failed: Option<&StoreError>) {
    for (done, result) in waiting {
        done(match failed {
            Some(error) => result.and(Err(error.clone())),
            None => result,
        });
    }
}
