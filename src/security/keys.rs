//! Keys in memory and in the store.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use lwm2m_objects::hex;
use tinsmith_dtls_server::Credentials;
use tinsmith_lwm2m::{Access, Identity, Issued, IssuedOscore, Role};
use tinsmith_seal::Seal;
use tinsmith_store::{Batch, Key, Kind, Op, RecordError, Store, StoreError, Stored};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::contexts::{Contexts, Known};
use crate::entry::{Entry, EntryError, Origin, Purpose};
use crate::rule::Rule;
use crate::rules::{Door, Rules};
use crate::table::{Table, View};

/// The most keys of a server.
pub const MAX_KEYS: usize = 1_000_000;
/// Bytes of a key that a device gets at bootstrap.
const ISSUED: usize = 16;

/// Why a key was not added or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It can't be one.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The identity has a key.
    #[error("the identity '{0}' has a key already; remove it first, or choose another")]
    Exists(String),
    /// The identity has another key, or one for something else.
    #[error("the identity '{0}' has another key, other names or another use; remove it first")]
    Differs(String),
    /// The identity has none.
    #[error("no key of '{0}'; see: tinsmith credential list")]
    Unknown(String),
    /// There are too many.
    #[error("there are {MAX_KEYS} keys; remove one first")]
    Full,
    /// The record can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store failed; nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Told of keys that were taken away.
pub type Revoke = Box<dyn Fn(&Entry) + Send + Sync>;

/// The pre-shared keys of devices, in memory and, sealed, in the store.
pub struct Keys {
    table: Arc<Table>,
    rules: Arc<Rules>,
    contexts: Contexts,
    store: Arc<dyn Store>,
    seal: Arc<dyn Seal>,
    /// Seals how contexts were used.
    numbers: Arc<dyn Seal>,
    only: bool,
    revoke: OnceLock<Revoke>,
    recheck: OnceLock<Recheck>,
    revoke_context: OnceLock<RevokeContext>,
}

impl Keys {
    /// Reads them. One that can't be read opens nothing, is left as it is, and told in the log.
    /// `only`: who has no key does not come in, under whatever name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(
        store: Arc<dyn Store>,
        seal: Arc<dyn Seal>,
        only: bool,
    ) -> Result<Self, StoreError> {
        let numbers = Arc::clone(&seal);
        Self::open_with(store, (seal, numbers), only).await
    }

    /// The same with another sealing key for how OSCORE contexts were used: one that is in no backup,
    /// so that a restored one does not use numbers again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open_with(
        store: Arc<dyn Store>,
        (seal, numbers): (Arc<dyn Seal>, Arc<dyn Seal>),
        only: bool,
    ) -> Result<Self, StoreError> {
        let contexts = Contexts::default();
        let used = store.load(Kind::OSCORE).await?;
        let used: HashMap<Key, Stored> = used.into_iter().collect();
        let table = Table::default();
        let rules = Rules::default();
        for (key, stored) in store.load(Kind::SECRET).await? {
            if Rule::is_one(&key) {
                match Rule::read(&stored.bytes) {
                    Ok(rule) => rules.insert(Arc::new(rule)),
                    Err(error) => {
                        warn!(id = %key.id.escape_ascii(), %error, "a rule can't be read");
                    }
                }
                continue;
            }
            if Context::is_one(&key) {
                match Context::read(&stored.bytes, &*seal) {
                    Ok(context) => {
                        let start =
                            contexts::start(&context, used.get(&context.numbers_key()), &*numbers);
                        if let Some(known) = Known::new(context, start) {
                            contexts.insert(known);
                        }
                    }
                    Err(error) => {
                        warn!(id = %key.id.escape_ascii(), %error, "a context can't be read");
                    }
                }
                continue;
            }
            if !Entry::is_one(&key) {
                continue;
            }
            match Entry::read(&stored.bytes, &*seal) {
                Ok(entry) => drop(table.insert(entry)),
                Err(error) => warn!(id = %key.id.escape_ascii(), %error, "a key can't be read"),
            }
        }
        Ok(Self {
            table: Arc::new(table),
            rules: Arc::new(rules),
            contexts,
            store,
            seal,
            numbers,
            only,
            revoke: OnceLock::new(),
            recheck: OnceLock::new(),
            revoke_context: OnceLock::new(),
        })
    }

    /// Who is told of keys that were taken away; the first one counts.
    pub fn on_revoke(&self, revoke: Revoke) {
        let _ = self.revoke.set(revoke);
    }

    /// The keys for one purpose.
    #[must_use]
    pub fn credentials(&self, purpose: Purpose) -> Arc<dyn Credentials> {
        Arc::new(Door {
            keys: View {
                table: Arc::clone(&self.table),
                purpose,
            },
            rules: Arc::clone(&self.rules),
            purpose,
        })
    }

    /// Adds a key; durable when this returns.
    ///
    /// # Errors
    /// It can't be one, there is one of the identity, there are too many, or the store failed.
    pub async fn add(&self, entry: Entry) -> Result<(), KeyError> {
        entry.check()?;
        if self.has_identity(&entry.identity) {
            return Err(KeyError::Exists(entry.identity));
        }
        if self.table.len() >= MAX_KEYS {
            return Err(KeyError::Full);
        }
        let record = entry.record(&*self.seal)?;
        let key = Entry::store_key(&entry.identity);
        self.create(key, record, &entry.identity).await?;
        self.table.insert(entry);
        Ok(())
    }

    /// Removes the key of an identity and ends what was begun with it; durable when this returns.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn remove(&self, identity: &str) -> Result<(), KeyError> {
        // From now on it opens nothing, whatever the store does.
        let removed = self.table.remove(identity);
        let removed = removed.ok_or_else(|| KeyError::Unknown(identity.to_owned()))?;
        self.revoked(&removed);
        let batch = Batch::delete(Entry::store_key(identity));
        if let Err(error) = self.store.commit(batch).await {
            self.table.insert(removed);
            return Err(error.into());
        }
        Ok(())
    }

    fn has_identity(&self, identity: &str) -> bool {
        self.table.get(identity).is_some()
            || self.rules.has(identity)
            || self.contexts.id(identity).is_some()
    }

    /// Stores a record that is not there yet.
    async fn create(&self, key: Key, record: Vec<u8>, identity: &str) -> Result<(), KeyError> {
        let batch = Batch {
            expect: vec![(key.clone(), None)],
            ops: vec![Op::Put(key, record)],
        };
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(KeyError::Exists(identity.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    fn lets_be(&self, identity: &Identity, endpoint: &str, purpose: Purpose) -> bool {
        match identity {
            Identity::Oscore(id) => self.contexts.may_be(id, endpoint, purpose),
            Identity::None if self.only || self.rules.claim(endpoint) => false,
            Identity::None => {
                !self.contexts.claim(endpoint) && self.table.may_be(identity, endpoint, purpose)
            }
            // Who has a key for many is not the one who has a context.
            Identity::Psk(_) if self.contexts.claim(endpoint) => {
                self.table.is_of_one(identity) && self.table.may_be(identity, endpoint, purpose)
            }
            Identity::Psk(_) => self.table.may_be(identity, endpoint, purpose),
            _ if self.contexts.claim(endpoint) => {
                self.rules.may_be_one(identity, endpoint, purpose)
            }
            _ => self.rules.may_be(identity, endpoint, purpose),
        }
    }

    fn revoked(&self, entry: &Entry) {
        if let Some(revoke) = self.revoke.get() {
            revoke(entry);
        }
    }

    fn drop_key(&self, identity: &str) -> Op {
        if let Some(removed) = self.table.remove(identity) {
            self.revoked(&removed);
        }
        Op::Delete(Entry::store_key(identity))
    }
}

impl Access for Keys {
    fn may_be(&self, identity: &Identity, endpoint: &str) -> bool {
        self.lets_be(identity, endpoint, Purpose::Management)
    }

    fn may_bootstrap(&self, identity: &Identity, endpoint: &str) -> bool {
        self.lets_be(identity, endpoint, Purpose::Bootstrap)
    }

    fn name_of(&self, identity: &Identity, role: Role) -> Option<String> {
        let purpose = match role {
            Role::Bootstrap => Purpose::Bootstrap,
            Role::Management => Purpose::Management,
        };
        match identity {
            Identity::None => None,
            Identity::Psk(identity) => self.table.name_of(identity, purpose),
            Identity::Oscore(id) => {
                let context = self.contexts.get(id).filter(|of| of.purpose == purpose);
                context.map(|context| context.endpoint)
            }
            _ => self.rules.name_of(identity, purpose),
        }
    }

    /// The first use of a key ends those that the device had before.
    fn registers(&self, identity: &Identity, endpoint: &str) -> Vec<Op> {
        let identity = match identity {
            Identity::Psk(identity) => identity,
            Identity::Oscore(id) => return self.context_registers(id, endpoint),
            _ => return Vec::new(),
        };
        let Ok(identity) = std::str::from_utf8(identity) else {
            return Vec::new();
        };
        if !self.table.is_new(identity) {
            return Vec::new();
        }
        let mut ops = Vec::new();
        for context in self.contexts.issued(endpoint) {
            ops.extend(self.drop_context(&context));
        }
        for mut entry in self.table.issued(endpoint) {
            if entry.identity != identity {
                ops.push(self.drop_key(&entry.identity));
                continue;
            }
            entry.origin = Origin::Used;
            match entry.record(&*self.seal) {
                Ok(record) => ops.push(Op::Put(Entry::store_key(identity), record)),
                Err(error) => warn!(%endpoint, %error, "a key can't be stored"),
            }
            self.table.insert(entry);
        }
        info!(%endpoint, %identity, "registers with its new key");
        ops
    }

    fn issue(&self, wall: u64, endpoint: &str, random: [u8; 32]) -> Result<Issued, String> {
        let random = Zeroizing::new(random);
        let mut ops = Vec::new();
        for entry in self.table.issued(endpoint) {
            if entry.origin == Origin::Issued {
                // The device has begun anew.
                ops.push(self.drop_key(&entry.identity));
            }
        }
        if self.table.len() >= MAX_KEYS {
            return Err("there are too many keys".to_owned());
        }
        let (name, key) = random.split_at(32 - ISSUED);
        let identity = identity(endpoint, name);
        let entry = Entry {
            identity: identity.clone(),
            endpoints: endpoint.to_owned(),
            purpose: Purpose::Management,
            origin: Origin::Issued,
            made: wall,
            key: Zeroizing::new(key.to_vec()),
        };
        entry.check().map_err(|error| error.to_string())?;
        if !entry.is_of_one() {
            return Err("a name with * or ? gets no key of its own".to_owned());
        }
        let record = entry.record(&*self.seal).map_err(|e| e.to_string())?;
        ops.push(Op::Put(Entry::store_key(&identity), record));
        let issued = Issued {
            identity,
            key: entry.key.clone(),
            ops,
        };
        self.table.insert(entry);
        Ok(issued)
    }

    fn issue_oscore(
        &self,
        wall: u64,
        endpoint: &str,
        random: [u8; 32],
    ) -> Result<IssuedOscore, String> {
        self.issue_context(wall, endpoint, random)
    }
}

/// The name, as far as there is room, and what makes it another one each time.
fn identity(endpoint: &str, random: &[u8]) -> String {
    let mut end = endpoint.len().min(100);
    while !endpoint.is_char_boundary(end) {
        end -= 1;
    }
    let unique = &random[..random.len().min(4)];
    format!("{}/{}", &endpoint[..end], hex::encode(unique))
}

mod contexts;
mod many;
mod rules;

pub use contexts::{RevokeContext, server_id};
pub use many::Added;
pub use rules::{Listed, Recheck};

#[cfg(test)]
mod tests;
