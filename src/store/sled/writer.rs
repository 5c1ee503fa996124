//! The thread that makes durable: it stages what waits as a group, writes it to the journal, syncs
//! that, and tells. What comes meanwhile is the next group.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::applier::{Applier, Values, Work};
use super::behind::Behind;
use super::journal::{self, Journal};
use super::open::Opened;
use super::segments;
use super::table::{self, Known, Moved, Part, Parts};
use super::value::io;
use crate::archive::Records;
use crate::proof::ProofFile;
use crate::{Batch, Committed, Health, Mark, Op, StoreError, Version, check};

/// Batches that share one sync at most.
const GROUP: usize = 4096;
/// With this many bytes of changes a group is closed.
const GROUP_BYTES: usize = 4 << 20;
/// Groups by which the database may be behind the journal.
const BEHIND: usize = 64;
/// Files of the journal by which it may be behind.
const UNRETIRED: u64 = 4;
/// The proof is synced at most once in this time.
const PROOF_PAUSE: Duration = Duration::from_millis(50);

/// What the writer is asked for.
pub(super) enum Job {
    Commit(Batch, Committed),
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
    /// Nobody asks for anything any more.
    End,
}

impl Job {
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Commit(_, done) => done(Err(error)),
            Self::Export(_, done) => drop(done.send(Err(error))),
            Self::End => {}
        }
    }
}

/// Starts the threads on a database; they end with [`Job::End`].
pub(super) fn start(
    opened: Opened,
    jobs: mpsc::Receiver<Job>,
    state: &Arc<State>,
) -> Result<JoinHandle<()>, StoreError> {
    let Opened {
        db,
        file,
        mark,
        proof,
        journal,
    } = opened;
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let (written, wishes) = mpsc::sync_channel(1);
    let handle = proof.handle().map_err(io)?;
    let of = Arc::clone(state);
    let proof_syncer = thread("store-proof")
        .spawn(move || sync_proof(&handle, &wishes, &of))
        .map_err(io)?;
    let (retired, freed) = mpsc::channel();
    let (durable, works) = mpsc::sync_channel(BEHIND);
    let applier = Applier {
        db: db.clone(),
        file,
        synced: None,
        mark,
        retired,
        state: Arc::clone(state),
    };
    let applier = thread("store-database")
        .spawn(move || applier.run(&works))
        .map_err(io)?;
    let writer = Writer {
        db,
        mark,
        // All files before have been given to the database.
        retired: journal.current().0 - 1,
        journal,
        proof,
        written,
        freed,
        behind: Behind::default(),
        durable,
        state: Arc::clone(state),
    };
    thread("store")
        .spawn(move || {
            writer.run(&jobs);
            for thread in [proof_syncer, applier] {
                let _ = thread.join();
            }
        })
        .map_err(io)
}

struct Writer {
    db: ::sled::Db,
    mark: Mark,
    journal: Journal,
    proof: ProofFile,
    /// Tells the thread that syncs the proof that it was written.
    written: mpsc::SyncSender<()>,
    /// The database needs no file of the journal up to this one.
    retired: u64,
    /// Tells when that grows.
    freed: mpsc::Receiver<u64>,
    behind: Behind,
    /// What is durable goes to the database.
    durable: mpsc::SyncSender<Work>,
    state: Arc<State>,
}

impl Writer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        let mut bytes = journal::Group::default();
        while let Ok(first) = jobs.recv() {
            let mut group = Staged {
                before: self.mark,
                refusal: self.refusal(),
                ..Staged::default()
            };
            // What comes after the group.
            let mut then = None;
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                match job {
                    Job::Commit(batch, done) => {
                        let result = self.stage(batch, &mut group, &mut bytes);
                        group.waiting.push((done, result));
                    }
                    job => then = Some(job),
                }
                if then.is_some() || group.waiting.len() >= GROUP || bytes.len() >= GROUP_BYTES {
                    break;
                }
            }
            self.close(group, &mut bytes);
            match then {
                Some(Job::Export(to, done)) => {
                    let table = self.state.table.snapshot();
                    self.pass_on(Work::Export(to, done, self.mark, table));
                }
                Some(Job::End) => break,
                _ => {}
            }
        }
        self.pass_on(Work::End(self.mark));
    }

    /// Makes a group durable, and tells who waits.
    fn close(&mut self, group: Staged, bytes: &mut journal::Group) {
        let Staged {
            before,
            waiting,
            changes,
            parts,
            ..
        } = group;
        let any = !changes.is_empty();
        let result = self.store(before, bytes, parts, any);
        bytes.clear();
        for (done, staged) in waiting {
            done(staged.and_then(|version| result.clone().map(|()| version)));
        }
        if result.is_ok() && any {
            let changes = Arc::new(changes);
            self.behind.add(self.mark.sequence, &changes);
            self.pass_on(Work::Group(self.mark, changes));
        }
        if result.is_ok()
            && let Err(error) = self.free_oldest()
            && error.kind() != ErrorKind::StorageFull
        {
            self.fail(&error);
        }
    }

    fn pass_on(&self, work: Work) {
        // If the database failed, so does the next commit, and the journal keeps what it has.
        if let Err(mpsc::SendError(Work::Export(_, done, ..))) = self.durable.send(work) {
            drop(done.send(Err(StoreError::Closed)));
        }
    }

    /// Makes the changes since `before` durable in the journal. After an error it is as if there
    /// were none, or nothing is stored any more.
    fn store(
        &mut self,
        before: Mark,
        bytes: &mut journal::Group,
        parts: Parts,
        database: bool,
    ) -> Result<(), StoreError> {
        if self.mark.sequence == before.sequence {
            return Ok(());
        }
        let written = self
            .turn(before)
            .and_then(|()| self.journal.write(bytes, before.sequence + 1, &self.mark));
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                self.mark = before;
                if error.kind() == ErrorKind::StorageFull {
                    return Err(StoreError::Full);
                }
                return Err(self.fail(&error));
            }
        };
        let done = self.journal.sync().and_then(|()| {
            self.state.syncs.fetch_add(1, Ordering::Relaxed);
            self.proof.write(&self.mark)?;
            self.state.table.put(parts, written)
        });
        if let Err(error) = done {
            return Err(self.fail(&error));
        }
        if database {
            self.state.progress.tell(self.mark.sequence);
        }
        // One wish that waits is enough: it is for what was written last.
        let _ = self.written.try_send(());
        Ok(())
    }

    /// Goes on in another file of the journal if this one is full; it ends with `mark`.
    fn turn(&mut self, mark: Mark) -> std::io::Result<()> {
        if !self.journal.is_full() {
            return Ok(());
        }
        let (full, _) = self.journal.current();
        self.retired = self.freed.try_iter().last().unwrap_or(self.retired);
        while self.retired + UNRETIRED < full {
            let Ok(retired) = self.freed.recv() else {
                // The database failed, and so will the next commit; the journal keeps all it has.
                break;
            };
            self.retired = retired;
        }
        self.journal.turn()?;
        self.state.table.add_current(&self.journal)?;
        self.pass_on(Work::Turned(full, mark));
        Ok(())
    }

    /// If there are more files of the journal than are needed, moves what is in use of the oldest,
    /// and removes it.
    fn free_oldest(&mut self) -> std::io::Result<()> {
        let Some(oldest) = self.state.table.surplus() else {
            return Ok(());
        };
        self.retired = self.freed.try_iter().last().unwrap_or(self.retired);
        if oldest > self.retired {
            return Ok(());
        }
        let folder = super::open::journal(&self.state.folder);
        let file = std::fs::read(segments::path(&folder, oldest))?;
        let content = journal::Content::new(file);
        let mut moved = Moved::default();
        for (key, value) in self.state.table.living(oldest, &content)? {
            moved.add(key, value);
        }
        if moved.len() > 0 {
            self.turn(self.mark)?;
            moved.write(&mut self.journal, &self.mark, &self.state.table)?;
        }
        self.state.table.forget(oldest);
        self.journal.remove(oldest);
        Ok(())
    }

    fn fail(&self, error: &std::io::Error) -> StoreError {
        let error = io(error);
        self.state.fail(&error);
        error
    }

    /// Why nothing is stored now, if nothing is.
    fn refusal(&self) -> Option<StoreError> {
        match self.state.health() {
            Health::Good => None,
            Health::Full => Some(StoreError::Full),
            Health::Failed(reason) => Some(StoreError::Io(reason)),
        }
    }

    fn stage(
        &mut self,
        batch: Batch,
        staged: &mut Staged,
        bytes: &mut journal::Group,
    ) -> Result<Version, StoreError> {
        if let Some(error) = &staged.refusal {
            return Err(error.clone());
        }
        check(&batch)?;
        self.behind.forget(self.state.progress.applied());
        for (key, expected) in &batch.expect {
            let found = self.known(staged, &key.to_bytes())?;
            let found = found.map(|known| known.version);
            if found != *expected {
                return Err(StoreError::Conflict {
                    expected: *expected,
                    found,
                });
            }
        }
        // All that can fail comes before the first change.
        let mut ops = Vec::with_capacity(batch.ops.len());
        for op in batch.ops {
            let (key, record) = match op {
                Op::Put(key, record) => (key.to_bytes(), Some(record)),
                Op::Delete(key) => (key.to_bytes(), None),
            };
            let old = self.known(staged, &key)?;
            ops.push((key, old, record));
        }
        self.mark.sequence += 1;
        let version = Version(self.mark.sequence);
        let mut changed = HashSet::new();
        let several = ops.len() > 1;
        for (key, mut old, record) in ops {
            // A batch may change a key twice.
            if several && !changed.insert(key.clone()) {
                old = self.known(staged, &key)?;
            }
            if let Some(old) = old {
                self.mark.content.remove_hash(old.hash);
            }
            let value = record.map(|record| {
                let mut value = Vec::with_capacity(8 + record.len());
                value.extend_from_slice(&version.0.to_be_bytes());
                value.extend_from_slice(&record);
                value
            });
            let known = value.as_ref().map(|value| Known::of(&key, value));
            if let Some(known) = known {
                self.mark.content.add_hash(known.hash);
            }
            let at = bytes.change(&key, value.as_deref());
            if table::holds(&key) {
                let length = value.map_or(0, |value| value.len());
                let part = known.map(|known| Part { at, length, known });
                staged.parts.insert(key, part);
            } else {
                staged.changes.insert(key, value.map(IVec::from));
            }
        }
        Ok(version)
    }

    /// What is known of a record as the group leaves it.
    fn known(&self, staged: &Staged, key: &[u8]) -> Result<Option<Known>, StoreError> {
        if table::holds(key) {
            return Ok(match staged.parts.get(key) {
                Some(part) => part.map(|part| part.known),
                None => self.state.table.known(key),
            });
        }
        let of = |value: &IVec| Known::of(key, value);
        match staged.changes.get(key).or_else(|| self.behind.value(key)) {
            Some(value) => Ok(value.as_ref().map(of)),
            None => Ok(self.db.get(key).map_err(io)?.as_ref().map(of)),
        }
    }
}

/// A group that grows.
#[derive(Default)]
struct Staged {
    /// Before the first of its commits.
    before: Mark,
    /// Why nothing of it is stored.
    refusal: Option<StoreError>,
    /// Who waits, and what each is told once the group is durable.
    waiting: Vec<(Committed, Result<Version, StoreError>)>,
    /// For the database.
    changes: Values,
    /// For the table.
    parts: Parts,
}

fn sync_proof(file: &File, wishes: &mpsc::Receiver<()>, state: &State) {
    while let Ok(()) = wishes.recv() {
        if let Err(error) = file.sync_data() {
            return state.fail(&io(error));
        }
        std::thread::sleep(PROOF_PAUSE);
    }
}
