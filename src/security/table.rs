//! All keys, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tinsmith_dtls_server::{Credentials, Psk};
use tinsmith_lwm2m::{Identity, name_fits};

use crate::entry::{Entry, Origin, Purpose, fits};

#[derive(Default)]
struct Entries {
    by_identity: BTreeMap<String, Entry>,
    /// Identities of entries that are of one name.
    names: HashMap<String, BTreeSet<String>>,
    /// How many entries have this pattern.
    patterns: HashMap<String, usize>,
}

/// All keys. Names for which there is one belong to who has it: nobody else comes in under them.
#[derive(Default)]
pub(crate) struct Table(RwLock<Entries>);

/// The keys for one purpose, as DTLS asks for them.
pub(crate) struct View {
    pub(crate) table: std::sync::Arc<Table>,
    pub(crate) purpose: Purpose,
}

impl Table {
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an entry, in place of the one of the same identity, which it returns.
    pub(crate) fn insert(&self, entry: Entry) -> Option<Entry> {
        let mut entries = self.write();
        let replaced = entries.take(&entry.identity);
        let identity = entry.identity.clone();
        match entry.is_of_one() {
            true => {
                let of_name = entries.names.entry(entry.endpoints.clone());
                of_name.or_default().insert(identity.clone());
            }
            false => *entries.patterns.entry(entry.endpoints.clone()).or_default() += 1,
        }
        entries.by_identity.insert(identity, entry);
        replaced
    }

    /// Removes the entry of an identity.
    pub(crate) fn remove(&self, identity: &str) -> Option<Entry> {
        self.write().take(identity)
    }

    pub(crate) fn get(&self, identity: &str) -> Option<Entry> {
        self.read().by_identity.get(identity).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_identity.len()
    }

    /// Entries by their identities, after `after`.
    pub(crate) fn page(&self, after: &str, most: usize) -> Vec<Entry> {
        let entries = self.read();
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let page = entries.by_identity.range::<str, _>(rest).take(most);
        page.map(|(_, entry)| entry.clone()).collect()
    }

    /// Management keys that a device of this name got at bootstraps.
    pub(crate) fn issued(&self, endpoint: &str) -> Vec<Entry> {
        let entries = self.read();
        let of_name = entries.names.get(endpoint).into_iter().flatten();
        let found = of_name.filter_map(|identity| entries.by_identity.get(identity));
        let issued =
            |entry: &&Entry| entry.purpose == Purpose::Management && entry.origin != Origin::Given;
        found.filter(issued).cloned().collect()
    }

    /// Whether who proved an identity may have this name for this purpose.
    pub(crate) fn may_be(&self, identity: &Identity, endpoint: &str, purpose: Purpose) -> bool {
        let entries = self.read();
        match identity {
            Identity::None => {
                let fits = |pattern: &String| name_fits(pattern, endpoint);
                !entries.names.contains_key(endpoint) && !entries.patterns.keys().any(fits)
            }
            Identity::Psk(identity) => std::str::from_utf8(identity)
                .ok()
                .and_then(|identity| entries.by_identity.get(identity))
                .filter(|entry| entry.purpose == purpose)
                .is_some_and(|entry| fits(&entry.endpoints, endpoint)),
            _ => false,
        }
    }

    /// The only name of who proved an identity, for this purpose.
    pub(crate) fn name_of(&self, identity: &[u8], purpose: Purpose) -> Option<String> {
        let identity = std::str::from_utf8(identity).ok()?;
        let entries = self.read();
        let entry = entries.by_identity.get(identity)?;
        let is_name = entry.purpose == purpose && entry.is_of_one();
        is_name.then(|| entry.endpoints.clone())
    }

    /// Whether an identity is that of one device.
    pub(crate) fn is_of_one(&self, identity: &Identity) -> bool {
        let Identity::Psk(identity) = identity else {
            return false;
        };
        let entries = self.read();
        let entry = std::str::from_utf8(identity).ok();
        let entry = entry.and_then(|identity| entries.by_identity.get(identity));
        entry.is_some_and(Entry::is_of_one)
    }

    /// Whether an identity has a key that its device has not used yet.
    pub(crate) fn is_new(&self, identity: &str) -> bool {
        let entries = self.read();
        let entry = entries.by_identity.get(identity);
        entry.is_some_and(|entry| entry.origin == Origin::Issued)
    }
}

impl Entries {
    fn take(&mut self, identity: &str) -> Option<Entry> {
        let entry = self.by_identity.remove(identity)?;
        if let Some(of_name) = self.names.get_mut(&entry.endpoints) {
            of_name.remove(identity);
            if of_name.is_empty() {
                self.names.remove(&entry.endpoints);
            }
        }
        if let Some(count) = self.patterns.get_mut(&entry.endpoints) {
            *count -= 1;
            if *count == 0 {
                self.patterns.remove(&entry.endpoints);
            }
        }
        Some(entry)
    }
}

impl Credentials for View {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        let identity = std::str::from_utf8(identity).ok()?;
        let entries = self.table.read();
        let entry = entries.by_identity.get(identity)?;
        (entry.purpose == self.purpose).then(|| Psk {
            key: entry.key.clone(),
            is_of_one: entry.is_of_one(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    pub(crate) fn entry(identity: &str, endpoints: &str) -> Entry {
        Entry {
            identity: identity.into(),
            endpoints: endpoints.into(),
            purpose: Purpose::Management,
            origin: Origin::Given,
            made: 0,
            key: vec![7; 16].into(),
        }
    }

    fn psk(identity: &str) -> Identity {
        Identity::Psk(identity.as_bytes().to_vec())
    }

    #[test]
    fn names_belong_to_who_has_a_key_for_them() {
        let table = Table::default();
        let may =
            |identity: &Identity, name: &str| table.may_be(identity, name, Purpose::Management);
        assert!(may(&Identity::None, "pump-1"));
        assert_eq!(table.insert(entry("one", "pump-1")), None);
        assert_eq!(table.insert(entry("all", "tag-?")), None);
        for (identity, name, expected) in [
            (Identity::None, "pump-1", false),
            (Identity::None, "pump-2", true),
            (Identity::None, "tag-7", false),
            (Identity::None, "tag-77", true),
            (psk("one"), "pump-1", true),
            (psk("one"), "pump-2", false),
            (psk("one"), "tag-7", false),
            (psk("all"), "tag-7", true),
            (psk("all"), "pump-1", false),
            (psk("nobody"), "pump-1", false),
            (psk("nobody"), "pump-2", false),
            (Identity::Psk(vec![0xff]), "pump-1", false),
            (Identity::Certificate("pump-1".into()), "pump-1", false),
        ] {
            assert_eq!(may(&identity, name), expected, "{identity} as {name}");
        }
        assert!(!table.may_be(&psk("one"), "pump-1", Purpose::Bootstrap));
        // Changed, and removed.
        assert_eq!(
            table.insert(entry("one", "pump-2")),
            Some(entry("one", "pump-1"))
        );
        assert!(may(&Identity::None, "pump-1"));
        assert!(may(&psk("one"), "pump-2"));
        assert!(table.remove("all").is_some() && table.remove("all").is_none());
        assert!(may(&Identity::None, "tag-7"));
    }

    #[test]
    fn a_key_opens_what_it_is_for() {
        let table = Arc::new(Table::default());
        table.insert(entry("one", "pump-1"));
        table.insert(entry("all", "*"));
        let view = |purpose| View {
            table: Arc::clone(&table),
            purpose,
        };
        let management = view(Purpose::Management);
        assert!(management.psk(b"one").unwrap().is_of_one);
        assert!(!management.psk(b"all").unwrap().is_of_one);
        assert!(management.psk(b"nobody").is_none());
        assert!(view(Purpose::Bootstrap).psk(b"one").is_none());
    }

    #[test]
    fn pages() {
        let table = Table::default();
        for name in ["c", "a", "b"] {
            table.insert(entry(name, "x*"));
        }
        let names = |after: &str, most| {
            let page = table.page(after, most).into_iter();
            page.map(|entry| entry.identity).collect::<Vec<_>>()
        };
        assert_eq!(names("", 2), ["a", "b"]);
        assert_eq!(names("b", 2), ["c"]);
        assert_eq!(table.len(), 3);
    }
}
