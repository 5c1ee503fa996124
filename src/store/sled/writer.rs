//! The threads that write: one stages what waits as a group, the second syncs the database
//! meanwhile, and the third syncs the proof, at leisure.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ::sled::IVec;
use futures_channel::oneshot;

use super::State;
use super::open::Opened;
use super::value::{io, sequence_key, split};
use crate::archive::Records;
use crate::proof::ProofFile;
use crate::{Batch, Committed, Health, Mark, Op, StoreError, Version, check};

/// Batches that share one sync at most.
const GROUP: usize = 4096;
/// Groups that may wait for a sync while one is under way.
const GROUPS: usize = 1;
/// The proof is synced at most once in this time.
const PROOF_PAUSE: Duration = Duration::from_millis(50);

/// What the writer is asked for.
pub(super) enum Job {
    Commit(Batch, Committed),
    Export(Records, oneshot::Sender<Result<Records, StoreError>>),
}

impl Job {
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Commit(_, done) => done(Err(error)),
            Self::Export(_, done) => drop(done.send(Err(error))),
        }
    }
}

/// Starts the threads on a database; they end when nobody can send a job any more.
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
    } = opened;
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let (written, wishes) = mpsc::sync_channel(1);
    let handle = proof.handle().map_err(io)?;
    let of = Arc::clone(state);
    let proof_syncer = thread("store-proof")
        .spawn(move || sync_proof(&handle, &wishes, &of))
        .map_err(io)?;
    let (synced, groups) = mpsc::sync_channel(GROUPS);
    let syncer = Syncer {
        file,
        proof,
        written,
        state: Arc::clone(state),
    };
    let syncer = thread("store-sync")
        .spawn(move || syncer.run(&groups))
        .map_err(io)?;
    let writer = Writer {
        db,
        mark,
        state: Arc::clone(state),
    };
    thread("store")
        .spawn(move || {
            writer.run(&jobs, synced);
            let _ = syncer.join();
            let _ = proof_syncer.join();
        })
        .map_err(io)
}

/// Who waits for a group, what each will be told once it is durable, and how far it then is.
struct Group {
    waiting: Vec<(Committed, Result<Version, StoreError>)>,
    mark: Mark,
}

struct Writer {
    db: ::sled::Db,
    mark: Mark,
    state: Arc<State>,
}

impl Writer {
    // The syncer ends when `synced` is dropped, after the last group.
    #[allow(clippy::needless_pass_by_value)]
    fn run(mut self, jobs: &mpsc::Receiver<Job>, synced: mpsc::SyncSender<Group>) {
        while let Ok(first) = jobs.recv() {
            let before = self.mark;
            let refusal = self.refusal();
            let mut staged = Staged::default();
            let mut waiting = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    // The group is not in the database yet.
                    Job::Export(to, done) => drop(done.send(self.export(to, before))),
                    Job::Commit(batch, done) => {
                        let result = match &refusal {
                            Some(error) => Err(error.clone()),
                            None => self.stage(batch, &mut staged),
                        };
                        waiting.push((done, result));
                    }
                }
                next = if waiting.len() < GROUP {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            if self.mark.sequence > before.sequence
                && let Err(error) = self.write(staged.group)
            {
                self.state.fail(&error);
                self.mark = before;
                for (_, result) in &mut waiting {
                    *result = Err(error.clone());
                }
            }
            let mark = self.mark;
            if let Err(mpsc::SendError(group)) = synced.send(Group { waiting, mark }) {
                tell(group, Some(&StoreError::Closed));
            }
        }
    }

    /// Why nothing is stored now, if nothing is.
    fn refusal(&self) -> Option<StoreError> {
        match self.state.health() {
            Health::Good => None,
            Health::Full => Some(StoreError::Full),
            Health::Failed(reason) => Some(StoreError::Io(reason)),
        }
    }

    fn stage(&mut self, batch: Batch, staged: &mut Staged) -> Result<Version, StoreError> {
        check(&batch)?;
        for (key, expected) in &batch.expect {
            let found = staged.value(&self.db, &key.to_bytes())?;
            let found = found.map(|value| split(value)).transpose()?;
            let found = found.map(|stored| stored.version);
            if found != *expected {
                return Err(StoreError::Conflict {
                    expected: *expected,
                    found,
                });
            }
        }
        // All that can fail comes before the first change.
        for op in &batch.ops {
            let (Op::Put(key, _) | Op::Delete(key)) = op;
            staged.value(&self.db, &key.to_bytes())?;
        }
        self.mark.sequence += 1;
        let version = Version(self.mark.sequence);
        for op in batch.ops {
            match op {
                Op::Put(key, record) => {
                    let mut value = Vec::with_capacity(8 + record.len());
                    value.extend_from_slice(&version.0.to_be_bytes());
                    value.extend_from_slice(&record);
                    staged.change(&mut self.mark, key.to_bytes(), Some(value.into()));
                }
                Op::Delete(key) => staged.change(&mut self.mark, key.to_bytes(), None),
            }
        }
        Ok(version)
    }

    fn write(&self, mut group: ::sled::Batch) -> Result<(), StoreError> {
        group.insert(sequence_key(), &self.mark.to_bytes()[..]);
        self.db.apply_batch(group).map_err(io)?;
        self.db.flush().map_err(io)?;
        Ok(())
    }

    fn export(&self, mut to: Records, mark: Mark) -> Result<Records, StoreError> {
        let own = sequence_key();
        for item in self.db.iter() {
            let (key, value) = item.map_err(io)?;
            if key != own {
                to.record(&key, &value).map_err(io)?;
            }
        }
        to.mark = mark;
        Ok(to)
    }
}

/// What the group changes, and the values that it looked up.
#[derive(Default)]
struct Staged {
    group: ::sled::Batch,
    values: HashMap<Vec<u8>, Option<IVec>>,
}

impl Staged {
    /// The value as the group leaves it.
    fn value(&mut self, db: &::sled::Db, key: &[u8]) -> Result<Option<&IVec>, StoreError> {
        if !self.values.contains_key(key) {
            let value = db.get(key).map_err(io)?;
            self.values.insert(key.to_vec(), value);
        }
        Ok(self.values.get(key).and_then(Option::as_ref))
    }

    fn change(&mut self, mark: &mut Mark, key: Vec<u8>, value: Option<IVec>) {
        if let Some(Some(old)) = self.values.get(&key) {
            mark.content.remove(&key, old);
        }
        match &value {
            Some(value) => {
                mark.content.add(&key, value);
                self.group.insert(key.as_slice(), value.clone());
            }
            None => self.group.remove(key.as_slice()),
        }
        self.values.insert(key, value);
    }
}

struct Syncer {
    file: File,
    proof: ProofFile,
    /// Tells the third thread that the proof was written.
    written: mpsc::SyncSender<()>,
    state: Arc<State>,
}

impl Syncer {
    fn run(mut self, groups: &mpsc::Receiver<Group>) {
        let mut failed = None;
        while let Ok(mut group) = groups.recv() {
            while let Ok(more) = groups.try_recv() {
                group.waiting.extend(more.waiting);
                group.mark = more.mark;
            }
            if failed.is_none()
                && group.waiting.iter().any(|(_, result)| result.is_ok())
                && let Err(error) = self.sync(&group.mark)
            {
                self.state.fail(&error);
                failed = Some(error);
            }
            tell(group, failed.as_ref());
        }
    }

    fn sync(&mut self, mark: &Mark) -> Result<(), StoreError> {
        self.file.sync_data().map_err(io)?;
        self.state.syncs.fetch_add(1, Ordering::Relaxed);
        self.proof.write(mark).map_err(io)?;
        // One wish that waits is enough: it is for what was written last.
        let _ = self.written.try_send(());
        Ok(())
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

fn tell(group: Group, failed: Option<&StoreError>) {
    for (done, result) in group.waiting {
        done(match failed {
            Some(error) => result.and(Err(error.clone())),
            None => result,
        });
    }
}
