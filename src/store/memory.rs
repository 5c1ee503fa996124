//! A store for tests: in memory, dying after the n-th commit when told to.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::Records;
use super::{
    Batch, Committed, Key, Kind, MAX_PAGE, Mark, Op, Pending, Store, StoreError, Stored, Version,
    check,
};

#[derive(Default)]
struct Disk {
    records: BTreeMap<Key, Stored>,
    commits: u64,
}

/// Commits are durable at once, in the sense that [`MemoryStore::restart`] sees them.
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    fail_after: Option<u64>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore {
            disk: Arc::default(),
            fail_after: None,
        }
    }

    /// Every commit after the first `commits`, counted from the very first store on this disk,
    /// fails with nothing written.
    pub fn fail_after(mut self, commits: u64) -> Self {
        self.fail_after = Some(commits);
        self
    }

    /// The store as a restarted process opens it: what was committed, no failures.
    pub fn restart(&self) -> Self {
        MemoryStore {
            disk: Arc::clone(&self.disk),
            fail_after: None,
        }
    }

    /// How many batches were committed so far.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Commits now.
    pub fn commit_now(&self, batch: &Batch) -> Result<Version, StoreError> {
        check(batch)?;
        let mut disk = self.lock();
        if self.fail_after.is_some_and(|n| disk.commits >= n) {
            return Err(StoreError::Io("the test cut the power".into()));
        }
        for (key, expected) in &batch.expect {
            let found = disk.records.get(key).map(|r| r.version);
            if found != *expected {
                return Err(StoreError::Conflict {
                    expected: *expected,
                    found,
                });
            }
        }
        disk.commits += 1;
        let version = Version(disk.commits);
        for op in &batch.ops {
            match op {
                Op::Put(key, bytes) => {
                    disk.records.insert(
                        key.clone(),
                        Stored {
                            version,
                            bytes: bytes.clone(),
                        },
                    );
                }
                Op::Delete(key) => {
                    disk.records.remove(key);
                }
            }
        }
        Ok(version)
    }

    /// All records of a kind, now.
    pub fn records(&self, kind: Kind) -> Vec<(Key, Stored)> {
        let disk = self.lock();
        disk.records
            .iter()
            .filter(|(key, _)| key.tenant == 0 && key.kind == kind)
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn commit_with(&self, batch: Batch, done: Committed) {
        let result = self.commit_now(&batch);
        drop(batch);
        done(result);
    }

    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Option<Stored>, StoreError>> {
        let found = self.lock().records.get(key).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn scan<'a>(
        &'a self,
        kind: Kind,
        prefix: &'a [u8],
        after: Option<&'a Key>,
        limit: usize,
    ) -> Pending<'a, Result<Vec<(Key, Stored)>, StoreError>> {
        let first = Key::new(kind, prefix);
        let from = match after {
            Some(key) if *key >= first => Bound::Excluded(key.clone()),
            _ => Bound::Included(first),
        };
        let page = self
            .lock()
            .records
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| {
                key.tenant == 0 && key.kind == kind && key.id.starts_with(prefix)
            })
            .take(limit.min(MAX_PAGE))
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect();
        Box::pin(std::future::ready(Ok(page)))
    }

    fn export(&self, mut to: Records) -> Pending<'_, Result<Records, StoreError>> {
        let disk = self.lock();
        let mut mark = Mark {
            sequence: disk.commits,
            ..Mark::default()
        };
        let mut written = Ok(());
        for (key, stored) in &disk.records {
            let key = key.to_bytes();
            let value = [&stored.version.0.to_be_bytes()[..], &stored.bytes].concat();
            mark.content.add(&key, &value);
            written = written.and_then(|()| to.record(&key, &value));
        }
        to.mark = mark;
        let result = written.map_err(|e| StoreError::Io(e.to_string()));
        Box::pin(std::future::ready(result.map(|()| to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dies_after_n_and_restarts_with_what_was_committed() {
        let store = MemoryStore::new().fail_after(1);
        let key = |id: &str| Key::new(Kind::DEVICE, id);
        assert_eq!(
            store.commit_now(&Batch::put(key("a"), vec![0, 1])),
            Ok(Version(1))
        );
        assert!(store.commit_now(&Batch::put(key("b"), vec![0, 1])).is_err());
        let again = store.restart();
        assert_eq!(again.records(Kind::DEVICE).len(), 1);
        assert_eq!(
            again.commit_now(&Batch::put(key("b"), vec![0, 1])),
            Ok(Version(2))
        );
    }

    #[test]
    fn a_conflict_changes_nothing() {
        let store = MemoryStore::new();
        let key = Key::new(Kind::DEVICE, "a");
        let batch = Batch {
            expect: vec![(key.clone(), Some(Version(9)))],
            ops: vec![Op::Put(key.clone(), vec![0, 0])],
        };
        assert!(matches!(
            store.commit_now(&batch),
            Err(StoreError::Conflict { .. })
        ));
        assert!(store.records(Kind::DEVICE).is_empty());
    }
}
