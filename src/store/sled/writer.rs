//! The thread that stages what waits as a group and journals it.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::applier::{Applier, Values};
use super::journal::{self, Journal};
use super::open::Opened;
use super::syncer::{Group, Syncer, Waiting, Work, sync_proof, tell};
use super::value::{io, split};
use crate::archive::Records;
use crate::{Batch, Committed, Health, Mark, Op, StoreError, Version, check};

/// Batches that share one sync at most.
const GROUP: usize = 4096;
/// With this many bytes of changes a group is closed.
const GROUP_BYTES: usize = 4 << 20;
/// Groups that may wait for a sync while one is under way.
const GROUPS: usize = 1;
/// Groups by which the database may be behind the journal.
const BEHIND: usize = 64;

/// What the writer is asked for.
pub(super) enum Job {
    Commit(Batch, Committed),
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
    /// Nothing is synced: a group should be closed.
    Idle,
    /// Nobody asks for anything any more.
    End,
}

impl Job {
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Commit(_, done) => done(Err(error)),
            Self::Export(_, done) => drop(done.send(Err(error))),
            Self::Idle | Self::End => {}
        }
    }
}

/// Starts the threads on a database; they end with [`Job::End`].
pub(super) fn start(
    opened: Opened,
    (queue, jobs): (mpsc::SyncSender<Job>, mpsc::Receiver<Job>),
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
    let (journaled, works) = mpsc::sync_channel(GROUPS);
    let idle = Arc::new(AtomicBool::new(true));
    let is_idle = Arc::clone(&idle);
    let syncer = Syncer {
        idle: Box::new(move || {
            is_idle.store(true, Ordering::Release);
            // With a full queue the writer looks anyway.
            let _ = queue.try_send(Job::Idle);
        }),
        files: journal.files(),
        proof,
        written,
        durable,
        state: Arc::clone(state),
    };
    let syncer = thread("store-sync")
        .spawn(move || syncer.run(&works))
        .map_err(io)?;
    let writer = Writer {
        db,
        mark,
        journal,
        freed,
        behind: Behind::default(),
        idle,
        journaled,
        state: Arc::clone(state),
    };
    thread("store")
        .spawn(move || {
            writer.run(&jobs);
            for thread in [syncer, proof_syncer, applier] {
                let _ = thread.join();
            }
        })
        .map_err(io)
}

struct Writer {
    db: ::sled::Db,
    mark: Mark,
    journal: Journal,
    /// What the file of the journal that is not written held is durable in the database.
    freed: mpsc::Receiver<()>,
    behind: Behind,
    /// Whether the syncer waits for a group.
    idle: Arc<AtomicBool>,
    journaled: mpsc::SyncSender<Work>,
    state: Arc<State>,
}

impl Writer {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        let mut bytes = journal::Group::default();
        let mut group = Staged::default();
        while let Ok(first) = jobs.recv() {
            // What is asked for next is for the next group.
            let mut then = None;
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                match job {
                    Job::Commit(batch, done) => {
                        if group.waiting.is_empty() {
                            group = self.begin();
                        }
                        let result = self.stage(batch, &mut group, &mut bytes);
                        group.waiting.push((done, result));
                    }
                    Job::Idle => {}
                    job => then = Some(job),
                }
                if then.is_some() || group.waiting.len() >= GROUP || bytes.len() >= GROUP_BYTES {
                    break;
                }
            }
            // While a group is synced, the next one grows.
            let full = group.waiting.len() >= GROUP || bytes.len() >= GROUP_BYTES;
            if !group.waiting.is_empty()
                && (full || then.is_some() || self.idle.load(Ordering::Acquire))
            {
                self.close(std::mem::take(&mut group), &mut bytes);
            }
            match then {
                Some(Job::Export(to, done)) => self.pass_on(Work::Export(to, done)),
                Some(Job::End) => return,
                _ => {}
            }
        }
    }

    fn begin(&self) -> Staged {
        Staged {
            before: self.mark,
            refusal: self.refusal(),
            ..Staged::default()
        }
    }

    fn close(&mut self, mut group: Staged, bytes: &mut journal::Group) {
        let written = self.write(group.before, bytes);
        bytes.clear();
        if let Err(error) = &written {
            for (_, result) in &mut group.waiting {
                *result = Err(error.clone());
            }
        }
        let file = written.unwrap_or_default();
        let changes = Arc::new(group.changes);
        if file.is_some() {
            self.behind.add(self.mark.sequence, &changes);
        }
        self.idle.store(false, Ordering::Release);
        self.pass_on(Work::Group(Group {
            waiting: group.waiting,
            file,
            mark: self.mark,
            changes,
        }));
    }

    fn pass_on(&self, work: Work) {
        match self.journaled.send(work) {
            Err(mpsc::SendError(Work::Group(group))) => {
                tell(group.waiting, Some(&StoreError::Closed));
            }
            Err(mpsc::SendError(Work::Export(_, done))) => {
                drop(done.send(Err(StoreError::Closed)));
            }
            Ok(()) | Err(mpsc::SendError(Work::Turned)) => {}
        }
    }

    /// Journals the group; says in which file. After an error it is as if there was no group, or
    /// nothing is stored any more.
    fn write(
        &mut self,
        before: Mark,
        bytes: &mut journal::Group,
    ) -> Result<Option<usize>, StoreError> {
        if self.mark.sequence == before.sequence {
            return Ok(None);
        }
        // If the database failed, so will the next commit; the journal keeps all it has.
        if self.journal.is_full() && self.freed.recv().is_ok() {
            self.journal.turn();
            self.pass_on(Work::Turned);
        }
        let first = before.sequence + 1;
        let Err(error) = self.journal.write(bytes, first, &self.mark) else {
            return Ok(Some(self.journal.current()));
        };
        self.mark = before;
        if error.kind() == ErrorKind::StorageFull {
            return Err(StoreError::Full);
        }
        let error = io(error);
        self.state.fail(&error);
        Err(error)
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
        let mut old = Vec::with_capacity(batch.ops.len());
        for op in &batch.ops {
            let (Op::Put(key, _) | Op::Delete(key)) = op;
            let key = key.to_bytes();
            old.push(self.value(staged, &key)?);
        }
        self.mark.sequence += 1;
        let version = Version(self.mark.sequence);
        for (op, mut old) in batch.ops.into_iter().zip(old) {
            let (key, value) = match op {
                Op::Put(key, record) => {
                    let mut value = Vec::with_capacity(8 + record.len());
                    value.extend_from_slice(&version.0.to_be_bytes());
                    value.extend_from_slice(&record);
                    (key.to_bytes(), Some(IVec::from(value)))
                }
                Op::Delete(key) => (key.to_bytes(), None),
            };
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
    waiting: Waiting,
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
