//! What was changed: by whom, when, from where, and how it ended.
//!
//! An entry is durable before the change begins, and gets its outcome afterwards. One without an
//! outcome is of a change that was under way when the process ended: it may have happened or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tinsmith_store::{
    self as store, Batch, Key, Kind, MAX_PAGE, Op, RecordError, Store, StoreError,
};

use crate::Role;

/// Entries that are kept unless told otherwise.
pub const KEPT: u64 = 10_000;
/// The most that can be kept.
pub const MAX_KEPT: u64 = 1_000_000;
/// The most entries of a page.
pub const MAX_ENTRIES: usize = 1000;
/// The most bytes of a text in an entry.
const TEXT: usize = 1024;
/// Version of the records.
const SCHEMA: u16 = 1;

/// Who changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The name of a token, or what else names who it was.
    pub name: String,
    /// What the token allows; none if it was no token.
    pub role: Option<Role>,
}

impl Who {
    /// The server itself, or its command line on a store that no server has.
    pub fn server() -> Self {
        let name = "(server)".to_owned();
        Who { name, role: None }
    }
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Wall time (ms).
    pub at: u64,
    /// Whether it was done.
    pub done: bool,
    /// The status of the answer, and the code of an error.
    pub answer: String,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Wall time (ms) when it was asked for.
    pub at: u64,
    /// By whom.
    pub who: Who,
    /// The address that it came from.
    pub from: String,
    /// What was asked for, e.g. `device.want`.
    pub operation: String,
    /// To what: path and query of the URL.
    pub target: String,
    /// What of the request tells more, e.g. `model`; never a value that may be a secret.
    pub detail: BTreeMap<String, String>,
    /// How it ended; absent while it is under way, and if the process ended meanwhile.
    pub outcome: Option<Outcome>,
}

/// Some entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// With their numbers, which grow; of one that can't be read, why.
    pub entries: Vec<(u64, Result<Entry, RecordError>)>,
    /// Ask for what is behind it to get the next page. `None`: this is the last one.
    pub next: Option<u64>,
}

/// The log in the store: the last so many entries.
pub struct Audit {
    store: Arc<dyn Store>,
    kept: u64,
    next: Mutex<u64>,
}

impl Audit {
    /// The log of which the last `kept` entries (1 to [`MAX_KEPT`]) are kept; what is older goes.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(store: Arc<dyn Store>, kept: u64) -> Result<Self, StoreError> {
        let kept = kept.clamp(1, MAX_KEPT);
        let mut last: Option<Key> = None;
        let mut numbers = Vec::new();
        loop {
            let page = store.scan(Kind::AUDIT, &[], last.as_ref(), MAX_PAGE);
            let page = page.await?;
            numbers.extend(page.iter().filter_map(|(key, _)| number(key)));
            let whole = page.len() < MAX_PAGE;
            last = page.into_iter().last().map(|(key, _)| key).or(last);
            if whole {
                break;
            }
        }
        let next = numbers.last().map_or(0, |last| last.saturating_add(1));
        let old: Vec<u64> = numbers.into_iter().filter(|n| n + kept < next).collect();
        for some in old.chunks(MAX_PAGE) {
            let ops = some.iter().map(|number| Op::Delete(key(*number))).collect();
            let expect = Vec::new();
            store.commit(Batch { expect, ops }).await?;
        }
        let next = Mutex::new(next);
        Ok(Audit { store, kept, next })
    }

    /// Writes that a change begins; durable when this returns. Its number, for [`Audit::end`].
    ///
    /// # Errors
    /// It can't be written: the change must not be made.
    pub async fn begin(&self, entry: &Entry) -> Result<u64, StoreError> {
        let (number, committed) = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let number = *next;
            let mut ops = vec![put(number, entry)?];
            if let Some(old) = number.checked_sub(self.kept) {
                ops.push(Op::Delete(key(old)));
            }
            *next += 1;
            let expect = Vec::new();
            (number, self.store.commit(Batch { expect, ops }))
        };
        committed.await?;
        Ok(number)
    }

    /// Writes how a change ended. It is queued at once; the future waits until it is durable.
    pub fn end(
        &self,
        number: u64,
        entry: &Entry,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let committed = put(number, entry).map(|op| {
            let (expect, ops) = (Vec::new(), vec![op]);
            self.store.commit(Batch { expect, ops })
        });
        async move { committed?.await.map(drop) }
    }

    /// At most `limit` (capped at [`MAX_ENTRIES`]) entries behind the number `after`, of those that
    /// were asked for at `since` (wall time, ms) or later.
    ///
    /// # Errors
    /// The store failed.
    pub async fn page(
        &self,
        after: Option<u64>,
        since: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, MAX_ENTRIES);
        let mut page = Page::default();
        let mut last = after.map(key);
        loop {
            let some = self
                .store
                .scan(Kind::AUDIT, &[], last.as_ref(), MAX_ENTRIES)
                .await?;
            let whole = some.len() < MAX_ENTRIES;
            for (key, stored) in some {
                let Some(number) = number(&key) else { continue };
                if page.entries.len() == limit {
                    page.next = page.entries.last().map(|(number, _)| *number);
                    return Ok(page);
                }
                let entry = store::decode(SCHEMA..=SCHEMA, &stored.bytes);
                if !matches!(&entry, Ok(Entry { at, .. }) if *at < since) {
                    page.entries.push((number, entry));
                }
                last = Some(key);
            }
            if whole {
                return Ok(page);
            }
        }
    }

    /// What is before the last `count` entries, for [`Audit::page`].
    pub fn before_last(&self, count: u64) -> Option<u64> {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.checked_sub(count)?.checked_sub(1)
    }
}

fn key(number: u64) -> Key {
    Key::new(Kind::AUDIT, number.to_be_bytes())
}

fn number(key: &Key) -> Option<u64> {
    <[u8; 8]>::try_from(&key.id[..])
        .ok()
        .map(u64::from_be_bytes)
}

fn put(number: u64, entry: &Entry) -> Result<Op, StoreError> {
    let mut entry = entry.clone();
    let Entry {
        who,
        from,
        operation,
        target,
        detail,
        ..
    } = &mut entry;
    for text in [&mut who.name, from, operation, target] {
        shorten(text);
    }
    detail.values_mut().for_each(shorten);
    if let Some(outcome) = &mut entry.outcome {
        shorten(&mut outcome.answer);
    }
    let record = store::encode(SCHEMA, &entry).map_err(|e| StoreError::Io(e.to_string()))?;
    Ok(Op::Put(key(number), record))
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT));
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use tinsmith_store::MemoryStore;

    use super::*;

    fn open(disk: &MemoryStore, kept: u64) -> Audit {
        block_on(Audit::open(Arc::new(disk.restart()), kept)).unwrap()
    }

    fn entry(at: u64) -> Entry {
        Entry {
            at,
            who: Who {
                name: "ci".into(),
                role: Some(Role::Operator),
            },
            from: "192.0.2.1:5".into(),
            operation: "device.want".into(),
            target: "/api/v1/devices/dev/model".into(),
            detail: BTreeMap::from([("model".into(), "motion".into())]),
            outcome: None,
        }
    }

    fn numbers(audit: &Audit, after: Option<u64>, since: u64, limit: usize) -> Vec<u64> {
        let page = block_on(audit.page(after, since, limit)).unwrap();
        page.entries.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_change_is_there_before_it_is_made_and_ends() {
        let disk = MemoryStore::new();
        let audit = open(&disk, 10);
        let number = block_on(audit.begin(&entry(5))).unwrap();
        let page = block_on(open(&disk, 10).page(None, 0, 9)).unwrap();
        assert_eq!(page.entries, [(number, Ok(entry(5)))]);
        let mut ended = entry(5);
        ended.outcome = Some(Outcome {
            at: 6,
            done: true,
            answer: "200".into(),
        });
        block_on(audit.end(number, &ended)).unwrap();
        let page = block_on(open(&disk, 10).page(None, 0, 9)).unwrap();
        assert_eq!(page.entries, [(number, Ok(ended))]);
    }

    #[test]
    fn what_can_not_be_written_is_told() {
        let disk = Arc::new(MemoryStore::new().fail_after(0));
        let audit = block_on(Audit::open(disk, 10)).unwrap();
        assert!(block_on(audit.begin(&entry(5))).is_err());
    }

    #[test]
    fn the_oldest_go() {
        let disk = MemoryStore::new();
        let audit = open(&disk, 10);
        for at in 0..25 {
            block_on(audit.begin(&entry(at))).unwrap();
        }
        assert_eq!(numbers(&audit, None, 0, 99), Vec::from_iter(15..25));
        // Fewer are kept from now on; numbers go on.
        let audit = open(&disk, 3);
        assert_eq!(numbers(&audit, None, 0, 99), [22, 23, 24]);
        assert_eq!(block_on(audit.begin(&entry(25))).unwrap(), 25);
        assert_eq!(numbers(&audit, None, 0, 99), [23, 24, 25]);
        // A larger log keeps what is there.
        assert_eq!(numbers(&open(&disk, 100), None, 0, 99), [23, 24, 25]);
    }

    #[test]
    fn pages_follow_each_other() {
        let disk = MemoryStore::new();
        let audit = open(&disk, MAX_KEPT);
        for at in 0..2500 {
            block_on(audit.begin(&entry(at))).unwrap();
        }
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = block_on(audit.page(after, 0, 700)).unwrap();
            seen.extend(page.entries.iter().map(|(number, _)| *number));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, Vec::from_iter(0..2500));
        assert_eq!(numbers(&audit, None, 2498, 9), [2498, 2499]);
        assert_eq!(numbers(&audit, audit.before_last(2), 0, 9), [2498, 2499]);
        assert_eq!(audit.before_last(2500), None);
        assert_eq!(audit.before_last(9999), None);
    }

    #[test]
    fn texts_have_an_end_and_what_can_not_be_read_is_shown() {
        let disk = MemoryStore::new();
        let audit = open(&disk, 10);
        let mut long = entry(0);
        long.target = "é".repeat(9999);
        long.detail.insert("name".into(), "x".repeat(9999));
        block_on(audit.begin(&long)).unwrap();
        let page = block_on(audit.page(None, 0, 9)).unwrap();
        let found = page.entries[0].1.clone().unwrap();
        assert_eq!(
            (found.target.len(), found.detail["name"].len()),
            (TEXT, TEXT)
        );
        disk.commit_now(&Batch::put(key(1), b"\0\x09\xa0".to_vec()))
            .unwrap();
        let page = block_on(open(&disk, 10).page(None, 0, 9)).unwrap();
        assert!(matches!(
            page.entries[1],
            (1, Err(RecordError::Schema { .. }))
        ));
    }

    #[test]
    fn the_bytes_of_a_record() {
        let disk = MemoryStore::new();
        block_on(open(&disk, 9).begin(&entry(5))).unwrap();
        let expected = b"\0\x01\xa7\x62at\x05\x63who\xa2\x64name\x62ci\x64role\x68operator\
            \x64from\x6b192.0.2.1:5\x69operation\x6bdevice.want\
            \x66target\x78\x19/api/v1/devices/dev/model\
            \x66detail\xa1\x65model\x66motion\x67outcome\xf6";
        let found = &disk.records(Kind::AUDIT)[0].1.bytes;
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(found));
    }
}
