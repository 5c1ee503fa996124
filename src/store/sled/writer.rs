//! The threads that write: one stages what waits as a group, the other syncs the file meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use ::sled::IVec;

use crate::{Batch, Committed, Key, Kind, Op, StoreError, Stored, Version, check};

/// Batches that share one sync at most.
const GROUP: usize = 4096;
/// Groups that may wait for a sync while one is under way.
const GROUPS: usize = 1;

/// A batch and who waits for it.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) done: Committed,
}

pub(super) fn io(error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(error.to_string())
}

/// Of the record that keeps the number of the last commit.
fn sequence_key() -> Vec<u8> {
    Key::new(Kind::META, "sequence").to_bytes()
}

pub(super) fn split(value: &[u8]) -> Result<Stored, StoreError> {
    let (version, bytes) = value
        .split_first_chunk::<8>()
        .ok_or_else(|| io("a record is truncated"))?;
    Ok(Stored {
        version: Version(u64::from_be_bytes(*version)),
        bytes: bytes.to_vec(),
    })
}

/// Starts both threads on a database and its file; they end when nobody can send a job any more.
pub(super) fn start(
    db: ::sled::Db,
    file: File,
    jobs: mpsc::Receiver<Job>,
    syncs: Arc<AtomicU64>,
) -> Result<JoinHandle<()>, StoreError> {
    let sequence = match db.get(sequence_key()).map_err(io)? {
        Some(bytes) => u64::from_be_bytes(
            bytes
                .as_ref()
                .try_into()
                .map_err(|_| io("bad sequence record"))?,
        ),
        None => 0,
    };
    let writer = Writer { db, sequence };
    let (synced, groups) = mpsc::sync_channel(GROUPS);
    let syncer = Syncer { file, syncs };
    let syncer = std::thread::Builder::new()
        .name("store-sync".into())
        .spawn(move || syncer.run(&groups))
        .map_err(io)?;
    std::thread::Builder::new()
        .name("store".into())
        .spawn(move || {
            writer.run(&jobs, synced);
            let _ = syncer.join();
        })
        .map_err(io)
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
