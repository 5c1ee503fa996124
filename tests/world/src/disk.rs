//! The store: batches become durable in order, and what was not is lost with the server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tinsmith_store::{Batch, Key, Kind, Op, StoreError, Stored, Version};

use crate::chance::Chance;

/// A batch that is being written, and who waits for it.
#[derive(Debug)]
struct Writing<W> {
    at: u64,
    batch: Batch,
    waits: W,
}

/// Records, and batches on their way to them.
#[derive(Debug)]
pub struct Disk<W> {
    records: BTreeMap<Key, Stored>,
    writing: VecDeque<Writing<W>>,
    version: u64,
    /// Keys that were ever written.
    pub written: BTreeSet<Key>,
    /// Keys that were deleted when the server was killed: it never heard of it.
    pub unheard: BTreeSet<Key>,
    /// Of 100 batches so many fail.
    pub failing: u8,
    chance: Chance,
}

impl<W> Disk<W> {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self {
            records: BTreeMap::new(),
            writing: VecDeque::new(),
            version: 0,
            written: BTreeSet::new(),
            unheard: BTreeSet::new(),
            failing: 0,
            chance: Chance::new(seed),
        }
    }

    /// All records of a kind.
    pub fn load(&self, kind: Kind) -> Vec<(Key, Stored)> {
        let of_kind = self.records.iter().filter(|(key, _)| key.kind == kind);
        of_kind.map(|(k, s)| (k.clone(), s.clone())).collect()
    }

    /// Queues a batch.
    pub fn commit(&mut self, now: u64, batch: Batch, waits: W) {
        let last = self.writing.back().map_or(0, |writing| writing.at);
        let at = last.max(now + self.chance.between(1, 12));
        self.writing.push_back(Writing { at, batch, waits });
    }

    /// When the next batch is durable.
    pub fn next(&self) -> Option<u64> {
        self.writing.front().map(|writing| writing.at)
    }

    /// A batch that is durable or has failed.
    pub fn done(&mut self, now: u64) -> Option<(W, Result<Version, StoreError>)> {
        let writing = self.writing.pop_front_if(|writing| writing.at <= now)?;
        let result = if self.chance.percent(self.failing) {
            Err(StoreError::Io("the world is against it".into()))
        } else {
            self.write(writing.batch)
        };
        Some((writing.waits, result))
    }

    /// The server is killed: some of what was being written is durable, though nobody hears of it.
    pub fn cut(&mut self) {
        let durable = self.chance.between(0, self.writing.len() as u64);
        for (number, writing) in std::mem::take(&mut self.writing).into_iter().enumerate() {
            if (number as u64) < durable {
                let deleted = writing.batch.ops.iter().filter_map(|op| match op {
                    Op::Delete(key) => Some(key.clone()),
                    Op::Put(..) => None,
                });
                self.unheard.extend(deleted);
                let _ = self.write(writing.batch);
            }
        }
    }

    fn write(&mut self, batch: Batch) -> Result<Version, StoreError> {
        for (key, expected) in &batch.expect {
            let found = self.records.get(key).map(|stored| stored.version);
            if found != *expected {
                return Err(StoreError::Conflict {
                    expected: *expected,
                    found,
                });
            }
        }
        self.version += 1;
        let version = Version(self.version);
        for op in batch.ops {
            match op {
                Op::Put(key, bytes) => {
                    self.written.insert(key.clone());
                    self.records.insert(key, Stored { version, bytes })
                }
                Op::Delete(key) => self.records.remove(&key),
            };
        }
        Ok(version)
    }
}
