//! The thread that makes durable: it stages what waits as a group, writes it to the journal, syncs
//! that, and tells. What comes meanwhile is the next group.

use std::collections::{HashMap, VecDeque};
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
use super::journal::{self, Journal};
use super::open::Opened;
use super::value::{io, split};
use crate::archive::Records;
use crate::proof::ProofFile;
use crate::{Batch, Committed, Health, Mark, Op, StoreError, Version, check};

/// Batches that share one sync at most.
const GROUP: usize = 4096;
/// With this many bytes of changes a group is closed.
const GROUP_BYTES: usize = 4 << 20;
/// Groups by which the database may be behind the journal.
const BEHIND: usize = 64;
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
    let (retired, freed) = mpsc::sync_channel(1);
    // The second file has nothing yet.
    let _ = retired.send(());
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
    /// What the file of the journal that is not written held is durable in the database.
    freed: mpsc::Receiver<()>,
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
                Some(Job::Export(to, done)) => self.pass_on(Work::Export(to, done)),
                Some(Job::End) => return,
                _ => {}
            }
        }
    }

    /// Makes a group durable, and tells who waits.
    fn close(&mut self, group: Staged, bytes: &mut journal::Group) {
        let result = self.store(group.before, bytes);
        bytes.clear();
        for (done, staged) in group.waiting {
            done(staged.and_then(|version| result.clone().map(|_| version)));
        }
        if result == Ok(true) {
            let changes = Arc::new(group.changes);
            self.behind.add(self.mark.sequence, &changes);
            self.pass_on(Work::Group(self.mark, changes));
        }
    }

    fn pass_on(&self, work: Work) {
        // If the database failed, so does the next commit, and the journal keeps what it has.
        if let Err(mpsc::SendError(Work::Export(_, done))) = self.durable.send(work) {
            drop(done.send(Err(StoreError::Closed)));
        }
    }

    /// Makes the changes since `before` durable in the journal; false if there are none. After an
    /// error it is as if there were none, or nothing is stored any more.
    fn store(&mut self, before: Mark, bytes: &mut journal::Group) -> Result<bool, StoreError> {
        if self.mark.sequence == before.sequence {
            return Ok(false);
        }
        // If the database failed, so will the next commit; the journal keeps all it has.
        if self.journal.is_full() && self.freed.recv().is_ok() {
            self.journal.turn();
            self.pass_on(Work::Turned);
        }
        let first = before.sequence + 1;
        if let Err(error) = self.journal.write(bytes, first, &self.mark) {
            self.mark = before;
            if error.kind() == ErrorKind::StorageFull {
                return Err(StoreError::Full);
            }
            return Err(self.fail(&error));
        }
        let synced = self.journal.sync().and_then(|()| {
            self.state.syncs.fetch_add(1, Ordering::Relaxed);
            self.proof.write(&self.mark)
        });
        if let Err(error) = synced {
            return Err(self.fail(&error));
        }
        self.state.progress.tell(self.mark.sequence);
        // One wish that waits is enough: it is for what was written last.
        let _ = self.written.try_send(());
        Ok(true)
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
        let staged = &mut staged.changes;
        check(&batch)?;
        self.behind.forget(self.state.progress.applied());
        for (key, expected) in &batch.expect {
            let found = self.value(staged, &key.to_bytes())?;
            let found = found.map(|value| split(&value)).transpose()?;
            let found = found.map(|stored| stored.version);
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
            let old = self.value(staged, &key)?;
            ops.push((key, old, record));
        }
        self.mark.sequence += 1;
        let version = Version(self.mark.sequence);
        for (key, mut old, record) in ops {
            let value = record.map(|record| {
                let mut value = Vec::with_capacity(8 + record.len());
                value.extend_from_slice(&version.0.to_be_bytes());
                value.extend_from_slice(&record);
                IVec::from(value)
            });
            // A batch may change a key twice.
            if let Some(changed) = staged.get(&key) {
                old.clone_from(changed);
            }
            if let Some(old) = old {
                self.mark.content.remove(&key, &old);
            }
            if let Some(value) = &value {
                self.mark.content.add(&key, value);
            }
            bytes.change(&key, value.as_deref());
            staged.insert(key, value);
        }
        Ok(version)
    }

    /// The value as the group leaves it.
    fn value(&self, staged: &Values, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        match staged.get(key).or_else(|| self.behind.value(key)) {
            Some(value) => Ok(value.clone()),
            None => self.db.get(key).map_err(io),
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
    changes: Values,
}

/// What the database may not have yet.
#[derive(Default)]
struct Behind {
    /// The last commit of each group, and what it changes.
    groups: VecDeque<(u64, Arc<Values>)>,
    /// The last value of each key, and in which group.
    values: HashMap<Vec<u8>, (u64, Option<IVec>)>,
}

impl Behind {
    fn add(&mut self, last: u64, changes: &Arc<Values>) {
        for (key, value) in &**changes {
            self.values.insert(key.clone(), (last, value.clone()));
        }
        self.groups.push_back((last, Arc::clone(changes)));
    }

    fn value(&self, key: &[u8]) -> Option<&Option<IVec>> {
        self.values.get(key).map(|(_, value)| value)
    }

    fn forget(&mut self, applied: u64) {
        while let Some((last, changes)) = self.groups.pop_front_if(|(last, _)| *last <= applied) {
            for key in changes.keys() {
                if self
                    .values
                    .get(key)
                    .is_some_and(|(group, _)| *group == last)
                {
                    self.values.remove(key);
                }
            }
        }
    }
}

fn sync_proof(file: &File, wishes: &mpsc::Receiver<()>, state: &State) {
    while let Ok(()) = wishes.recv() {
        if let Err(error) = file.sync_data() {
            return state.fail(&io(error));
        }
        std::thread::sleep(PROOF_PAUSE);
    }
}
