//! Many keys at once.

use std::collections::HashMap;

use tinsmith_store::{Batch, Op};

use super::{KeyError, Keys, MAX_KEYS};
use crate::entry::Entry;

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was there, the same in all.
    Unchanged,
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    one.endpoints == other.endpoints && one.purpose == other.purpose && one.key == other.key
}

impl Keys {
    /// Adds those that can be added, all at once, and says of each what became of it; durable when
    /// this returns. With `only_look` nothing is added.
    ///
    /// # Errors
    /// The store failed, or somebody else added one of them at the same time; none was added.
    pub async fn add_all(
        &self,
        entries: Vec<Entry>,
        only_look: bool,
    ) -> Result<Vec<Result<Added, KeyError>>, KeyError> {
        let mut told = Vec::with_capacity(entries.len());
        let mut new: Vec<Entry> = Vec::new();
        let mut names = HashMap::new();
        for entry in entries {
            let twin = names
                .get(&entry.identity)
                .and_then(|at: &usize| new.get(*at));
            let judged = self.judge(&entry, twin, new.len());
            if judged == Ok(Added::New) {
                names.insert(entry.identity.clone(), new.len());
                new.push(entry);
            }
            told.push(judged);
        }
        if only_look || new.is_empty() {
            return Ok(told);
        }
        let mut batch = Batch {
            expect: Vec::new(),
            ops: Vec::new(),
        };
        for entry in &new {
            let key = Entry::store_key(&entry.identity);
            batch.expect.push((key.clone(), None));
            batch.ops.push(Op::Put(key, entry.record(&*self.seal)?));
        }
        self.store.commit(batch).await?;
        for entry in new {
            self.table.insert(entry);
        }
        Ok(told)
    }

    /// What is to become of one that may have a `twin` before it, beside `more` new ones.
    fn judge(&self, entry: &Entry, twin: Option<&Entry>, more: usize) -> Result<Added, KeyError> {
        entry.check()?;
        let known = self.table.get(&entry.identity);
        match known.as_ref().or(twin) {
            Some(known) if is_same(known, entry) => Ok(Added::Unchanged),
            Some(_) => Err(KeyError::Differs(entry.identity.clone())),
            None if self.rules.has(&entry.identity) => {
                Err(KeyError::Exists(entry.identity.clone()))
            }
            None if self.table.len() + more >= MAX_KEYS => Err(KeyError::Full),
            None => Ok(Added::New),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tinsmith_seal::{Key, Seal};
    use tinsmith_store::{MemoryStore, Store};

    use super::*;
    use crate::entry::{EntryError, Purpose};
    use crate::table::tests::entry;

    async fn keys(store: &Arc<dyn Store>) -> Keys {
        let seal: Arc<dyn Seal> = Arc::new(Key::new(&[1; 32]));
        Keys::open(Arc::clone(store), seal, false).await.unwrap()
    }

    fn some() -> Vec<Entry> {
        let mut short = entry("short", "pump-5");
        short.key = vec![1; 3].into();
        let mut other = entry("two", "pump-2");
        other.purpose = Purpose::Bootstrap;
        vec![
            entry("one", "pump-1"),
            entry("two", "pump-2"),
            entry("one", "pump-1"),
            short,
            other,
        ]
    }

    #[tokio::test]
    async fn a_second_time_changes_nothing() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let keys = keys(&store).await;
        let wrong = Err(KeyError::Entry(EntryError::Key));
        let differs = Err(KeyError::Differs("two".into()));
        let (new, same) = (Ok(Added::New), Ok(Added::Unchanged));
        let first = [
            new.clone(),
            new,
            same.clone(),
            wrong.clone(),
            differs.clone(),
        ];
        assert_eq!(keys.add_all(some(), true).await.unwrap(), first);
        assert_eq!(keys.list("", 9).len(), 0, "it was only looked at");
        assert_eq!(keys.add_all(some(), false).await.unwrap(), first);
        let restarted = self::keys(&store).await;
        assert_eq!(restarted.list("", 9), keys.list("", 9));
        assert_eq!(keys.list("", 9).len(), 2);
        let again = [same.clone(), same.clone(), same, wrong, differs];
        assert_eq!(keys.add_all(some(), false).await.unwrap(), again);
        assert_eq!(keys.list("", 9).len(), 2);
    }
}
