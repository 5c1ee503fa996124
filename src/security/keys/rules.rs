//! Rules for raw public keys and certificates, beside the pre-shared keys.

use std::sync::Arc;

use tinsmith_store::Batch;

use super::{KeyError, Keys, MAX_KEYS};
use crate::context::Context;
use crate::entry::Entry;
use crate::rule::Rule;

/// Told that rules were taken away: who came in by one has to be looked at again.
pub type Recheck = Box<dyn Fn() + Send + Sync>;

/// Something by which a device comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A pre-shared key.
    Psk(Entry),
    /// A raw public key, or names of certificates.
    Rule(Arc<Rule>),
    /// An OSCORE context.
    Oscore(Context),
}

impl Listed {
    /// What it is called; no two have the same.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Psk(entry) => entry.identity.clone(),
            Self::Rule(rule) => rule.identity(),
            Self::Oscore(context) => context.identity(),
        }
    }
}

impl Keys {
    /// Who is told that a rule was taken away; the first one counts.
    pub fn on_recheck(&self, recheck: Recheck) {
        let _ = self.recheck.set(recheck);
    }

    /// Keys and rules by their identities, after `after`.
    #[must_use]
    pub fn list(&self, after: &str, most: usize) -> Vec<Listed> {
        let keys = self.table.page(after, most).into_iter().map(Listed::Psk);
        let rules = self.rules.page(after, most).into_iter().map(Listed::Rule);
        let contexts = self.contexts.page(after, most).into_iter();
        let contexts = contexts.map(Listed::Oscore);
        let mut all: Vec<_> = keys.chain(rules).chain(contexts).collect();
        all.sort_by_cached_key(Listed::identity);
        all.truncate(most);
        all
    }

    /// Adds a rule; durable when this returns.
    ///
    /// # Errors
    /// It can't be one, there is one of its identity, there are too many, or the store failed.
    pub async fn add_rule(&self, rule: Rule) -> Result<(), KeyError> {
        rule.check()?;
        let identity = rule.identity();
        if self.has_identity(&identity) {
            return Err(KeyError::Exists(identity));
        }
        if self.rules.len() >= MAX_KEYS {
            return Err(KeyError::Full);
        }
        let key = Rule::store_key(&identity);
        self.create(key, rule.record()?, &identity).await?;
        self.rules.insert(Arc::new(rule));
        Ok(())
    }

    /// Removes a rule and ends what was begun by it; false if there is none. Durable when this
    /// returns.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove_rule(&self, identity: &str) -> Result<bool, KeyError> {
        // From now on it opens nothing, whatever the store does.
        let Some(removed) = self.rules.remove(identity) else {
            return Ok(false);
        };
        if let Some(recheck) = self.recheck.get() {
            recheck();
        }
        let batch = Batch::delete(Rule::store_key(identity));
        if let Err(error) = self.store.commit(batch).await {
            self.rules.insert(removed);
            return Err(error.into());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tinsmith_lwm2m::{Access, Identity, Role};
    use tinsmith_store::{MemoryStore, Store};

    use super::*;
    use crate::entry::Purpose;
    use crate::rule::Proof;
    use crate::rule::tests::rule;
    use crate::table::tests::entry;
    use tinsmith_seal::{Key, Seal};

    async fn keys(store: &Arc<dyn Store>) -> Keys {
        let seal: Arc<dyn Seal> = Arc::new(Key::new(&[1; 32]));
        Keys::open(Arc::clone(store), seal, false).await.unwrap()
    }

    fn names(keys: &Keys, after: &str, most: usize) -> Vec<String> {
        keys.list(after, most)
            .iter()
            .map(Listed::identity)
            .collect()
    }

    #[tokio::test]
    async fn rules_are_there_after_a_restart_and_removed_ones_are_not() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let first = keys(&store).await;
        let rechecked = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&rechecked);
        first.on_recheck(Box::new(move || {
            told.fetch_add(1, Ordering::Relaxed);
        }));
        let named = rule(Proof::Certificate(None), "pump-*");
        first.add_rule(named.clone()).await.unwrap();
        let exists = Err(KeyError::Exists("certificate:management:pump-*".into()));
        assert_eq!(first.add_rule(named).await, exists);
        let raw = rule(Proof::RawKey([1; 32]), "tag-1");
        first.add_rule(raw.clone()).await.unwrap();
        first.add(entry("one", "clock")).await.unwrap();
        // What is called the same can't be there twice, of whatever kind.
        let taken = first.add(entry(&raw.identity(), "other")).await;
        assert_eq!(taken, Err(KeyError::Exists(raw.identity())));
        assert_eq!(first.remove_rule(&raw.identity()).await, Ok(true));
        assert_eq!(first.remove_rule(&raw.identity()).await, Ok(false));
        assert_eq!(rechecked.load(Ordering::Relaxed), 1);

        let second = keys(&store).await;
        let all = ["certificate:management:pump-*", "one"];
        assert_eq!(names(&second, "", 9), all);
        assert_eq!(names(&second, "", 1), all[..1]);
        assert_eq!(names(&second, all[0], 9), all[1..]);
    }

    #[tokio::test]
    async fn a_name_with_a_rule_is_for_nobody_else() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let keys = keys(&store).await;
        assert!(keys.may_be(&Identity::None, "pump-1"));
        let own = rule(Proof::Certificate(None), "pump-*");
        keys.add_rule(own).await.unwrap();
        keys.add(entry("one", "tag-1")).await.unwrap();
        let certificate = |name: &str| Identity::Certificate(name.into());
        for (identity, name, expected) in [
            (Identity::None, "pump-1", false),
            (Identity::None, "other", true),
            (certificate("pump-1"), "pump-1", true),
            (certificate("pump-1"), "pump-2", false),
            (certificate("pump-1"), "tag-1", false),
            (certificate("pump-1"), "other", false),
            (Identity::Psk(b"one".to_vec()), "pump-1", false),
            (Identity::Psk(b"one".to_vec()), "tag-1", true),
        ] {
            assert_eq!(
                keys.may_be(&identity, name),
                expected,
                "{identity} as {name}"
            );
        }
        for (identity, role, expected) in [
            (certificate("pump-1"), Role::Management, Some("pump-1")),
            (certificate("pump-1"), Role::Bootstrap, None),
            (certificate("other"), Role::Management, None),
            (
                Identity::Psk(b"one".to_vec()),
                Role::Management,
                Some("tag-1"),
            ),
            (Identity::Psk(b"one".to_vec()), Role::Bootstrap, None),
            (Identity::Psk(b"two".to_vec()), Role::Management, None),
            (Identity::None, Role::Management, None),
        ] {
            let name = keys.name_of(&identity, role);
            assert_eq!(name.as_deref(), expected, "{identity} for {role:?}");
        }
        assert!(!keys.may_bootstrap(&certificate("pump-1"), "pump-1"));
        assert!(!keys.may_bootstrap(&Identity::None, "pump-1"));
        let door = keys.credentials(Purpose::Management);
        let found = door.certificate(&["pump-9".to_owned()], &[]);
        assert_eq!(found, Some((certificate("pump-9"), true)));
        // A device that came in by its certificate has no key to be used.
        assert!(keys.registers(&certificate("pump-1"), "pump-1").is_empty());
    }
}
