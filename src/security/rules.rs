//! All rules, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tinsmith_dtls_server::{Credentials, Psk};
use tinsmith_lwm2m::{Certified, Identity};

use crate::entry::{Purpose, is_pattern};
use crate::rule::{Proof, Rule, named};
use crate::table::View;

/// What is looked for to find a rule.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Clue {
    /// It is for one endpoint.
    Endpoint(String),
    RawKey([u8; 32]),
    /// It is for one name of certificates.
    Name(String),
}

#[derive(Default)]
struct All {
    by_identity: BTreeMap<String, Arc<Rule>>,
    by_clue: HashMap<Clue, BTreeSet<String>>,
    /// Those that are for endpoints, or for names of certificates, that fit a pattern.
    wide: BTreeSet<String>,
}

/// All rules.
#[derive(Default)]
pub(crate) struct Rules(RwLock<All>);

fn clues(rule: &Rule) -> Vec<Clue> {
    let mut clues = Vec::new();
    if !is_pattern(&rule.endpoints) {
        clues.push(Clue::Endpoint(rule.endpoints.clone()));
    }
    if let Proof::RawKey(digest) = rule.proof {
        clues.push(Clue::RawKey(digest));
    }
    if let Some(name) = rule.one_name() {
        clues.push(Clue::Name(name.to_owned()));
    }
    clues
}

impl All {
    /// Those that have this clue, and those that fit more.
    fn found(&self, clue: &Clue) -> impl Iterator<Item = &Arc<Rule>> {
        let exact = self.by_clue.get(clue).into_iter().flatten();
        let all = exact.chain(&self.wide);
        all.filter_map(|identity| self.by_identity.get(identity))
    }

    /// Those for who proved an identity.
    fn of<'a>(
        &'a self,
        identity: &'a Identity,
        purpose: Purpose,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        let clue = match identity {
            Identity::RawKey(digest) => Some(Clue::RawKey(*digest)),
            other => named(other).map(|(name, _)| Clue::Name(name.clone())),
        };
        let found: Vec<_> = clue.iter().flat_map(|clue| self.found(clue)).collect();
        let its = move |rule: &&Arc<Rule>| rule.purpose == purpose && rule.is_of(identity);
        found.into_iter().filter(its)
    }

    fn take(&mut self, identity: &str) -> Option<Arc<Rule>> {
        let rule = self.by_identity.remove(identity)?;
        for clue in clues(&rule) {
            if let Some(with) = self.by_clue.get_mut(&clue) {
                with.remove(identity);
                if with.is_empty() {
                    self.by_clue.remove(&clue);
                }
            }
        }
        self.wide.remove(identity);
        Some(rule)
    }
}

impl Rules {
    fn read(&self) -> RwLockReadGuard<'_, All> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, All> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, rule: Arc<Rule>) {
        let mut all = self.write();
        let identity = rule.identity();
        all.take(&identity);
        let is_wide = is_pattern(&rule.endpoints)
            || matches!(rule.proof, Proof::Certificate(_)) && rule.one_name().is_none();
        if is_wide {
            all.wide.insert(identity.clone());
        }
        for clue in clues(&rule) {
            let with = all.by_clue.entry(clue).or_default();
            with.insert(identity.clone());
        }
        all.by_identity.insert(identity, rule);
    }

    pub(crate) fn remove(&self, identity: &str) -> Option<Arc<Rule>> {
        self.write().take(identity)
    }

    pub(crate) fn has(&self, identity: &str) -> bool {
        self.read().by_identity.contains_key(identity)
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_identity.len()
    }

    /// Rules by their identities, after `after`.
    pub(crate) fn page(&self, after: &str, most: usize) -> Vec<Arc<Rule>> {
        let all = self.read();
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let page = all.by_identity.range::<str, _>(rest).take(most);
        page.map(|(_, rule)| Arc::clone(rule)).collect()
    }

    /// Whether a name belongs to who can prove something.
    pub(crate) fn claim(&self, endpoint: &str) -> bool {
        let all = self.read();
        let clue = Clue::Endpoint(endpoint.to_owned());
        all.found(&clue).any(|rule| rule.claims(endpoint))
    }

    /// Whether who proved an identity may have this name for this purpose.
    pub(crate) fn may_be(&self, identity: &Identity, endpoint: &str, purpose: Purpose) -> bool {
        let all = self.read();
        all.of(identity, purpose)
            .any(|rule| rule.lets_be(identity, endpoint))
    }

    /// The name of who proved an identity, if all rules that let it in know but one.
    pub(crate) fn name_of(&self, identity: &Identity, purpose: Purpose) -> Option<String> {
        let all = self.read();
        let mut names = all
            .of(identity, purpose)
            .map(|rule| rule.only_name(identity));
        let first = names.next()??;
        let is_only = names.all(|name| name == Some(first));
        is_only.then(|| first.to_owned())
    }

    /// Whether there is a rule that an authority alone has to do with.
    fn is_certified(&self, identity: &Identity, purpose: Purpose) -> bool {
        let all = self.read();
        all.of(identity, purpose)
            .any(|rule| rule.authority.is_some())
    }

    /// The same by a rule whose identities are each that of one device.
    pub(crate) fn may_be_one(&self, identity: &Identity, endpoint: &str, purpose: Purpose) -> bool {
        let all = self.read();
        all.of(identity, purpose)
            .any(|rule| rule.is_of_one() && rule.lets_be(identity, endpoint))
    }

    /// Whether an identity comes in, and is that of one device.
    fn is_of_one(&self, identity: &Identity, purpose: Purpose) -> Option<bool> {
        let all = self.read();
        let mut its = all.of(identity, purpose).map(|rule| rule.is_of_one());
        let first = its.next()?;
        Some(first && its.all(|is_of_one| is_of_one))
    }
}

/// Keys and rules for one purpose, as DTLS asks for them.
pub(crate) struct Door {
    pub(crate) keys: View,
    pub(crate) rules: Arc<Rules>,
    pub(crate) purpose: Purpose,
}

impl Credentials for Door {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        self.keys.psk(identity)
    }

    fn raw_key(&self, digest: &[u8; 32]) -> Option<bool> {
        self.rules
            .is_of_one(&Identity::RawKey(*digest), self.purpose)
    }

    /// A name is that of one authority if there is a rule which says so.
    fn certificate(&self, names: &[String], authorities: &[[u8; 32]]) -> Option<(Identity, bool)> {
        names.iter().find_map(|name| {
            let certified = authorities.iter().map(|authority| {
                Identity::Certified(Box::new(Certified {
                    authority: *authority,
                    name: name.clone(),
                }))
            });
            let certified = certified
                .into_iter()
                .find(|identity| self.rules.is_certified(identity, self.purpose));
            let identity = certified.unwrap_or_else(|| Identity::Certificate(name.clone()));
            let is_of_one = self.rules.is_of_one(&identity, self.purpose)?;
            Some((identity, is_of_one))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::rule;

    fn rules(all: &[(Proof, &str)]) -> Arc<Rules> {
        let rules = Rules::default();
        for (proof, endpoints) in all {
            rules.insert(Arc::new(rule(proof.clone(), endpoints)));
        }
        Arc::new(rules)
    }

    fn certificate(name: &str) -> Identity {
        Identity::Certificate(name.into())
    }

    #[test]
    fn names_belong_to_who_proves_them() {
        let gateway = Proof::Certificate(Some("gateway-?".into()));
        let rules = rules(&[
            (Proof::RawKey([1; 32]), "pump-1"),
            (Proof::RawKey([2; 32]), "tag-*"),
            (Proof::Certificate(None), "meter-*"),
            (Proof::Certificate(None), "clock"),
            (gateway, "room-1"),
        ]);
        for (identity, name, expected) in [
            (Identity::RawKey([1; 32]), "pump-1", true),
            (Identity::RawKey([1; 32]), "pump-2", false),
            (Identity::RawKey([1; 32]), "tag-1", false),
            (Identity::RawKey([2; 32]), "tag-1", true),
            (Identity::RawKey([2; 32]), "tag-2", true),
            (Identity::RawKey([3; 32]), "tag-1", false),
            (certificate("meter-1"), "meter-1", true),
            (certificate("meter-1"), "meter-2", false),
            (certificate("clock"), "clock", true),
            (certificate("clock"), "meter-1", false),
            (certificate("gateway-1"), "room-1", true),
            (certificate("gateway-11"), "room-1", false),
            (certificate("room-1"), "room-1", false),
            (certificate("pump-1"), "pump-1", false),
            (Identity::Psk(b"pump-1".to_vec()), "pump-1", false),
            (Identity::None, "pump-1", false),
            (Identity::None, "free", false),
        ] {
            let may = rules.may_be(&identity, name, Purpose::Management);
            assert_eq!(may, expected, "{identity} as {name}");
            assert!(!rules.may_be(&identity, name, Purpose::Bootstrap));
        }
        for name in ["pump-1", "tag-7", "meter-x", "clock", "room-1"] {
            assert!(rules.claim(name), "{name}");
        }
        assert!(!rules.claim("pump-2") && !rules.claim("gateway-1"));
        assert!(rules.remove("certificate:management:clock").is_some());
        assert!(rules.remove("certificate:management:clock").is_none());
        assert!(!rules.claim("clock"));
        assert!(!rules.may_be(&certificate("clock"), "clock", Purpose::Management));
        assert_eq!((rules.len(), rules.page("d", 9).len()), (4, 2));
    }

    #[test]
    fn who_comes_in() {
        let rules = rules(&[
            (Proof::RawKey([1; 32]), "pump-1"),
            (Proof::RawKey([2; 32]), "tag-*"),
            (Proof::Certificate(None), "meter-*"),
            (Proof::Certificate(Some("gateway".into())), "meter-*"),
        ]);
        let door = |purpose| Door {
            keys: View {
                table: Arc::default(),
                purpose,
            },
            rules: Arc::clone(&rules),
            purpose,
        };
        let management = door(Purpose::Management);
        assert_eq!(management.raw_key(&[1; 32]), Some(true));
        assert_eq!(management.raw_key(&[2; 32]), Some(false));
        assert_eq!(management.raw_key(&[3; 32]), None);
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let found = management.certificate(&names(&["serial 7", "meter-7", "meter-8"]), &[]);
        assert_eq!(found, Some((certificate("meter-7"), true)));
        let found = management.certificate(&names(&["gateway"]), &[[9; 32]]);
        assert_eq!(found, Some((certificate("gateway"), false)));
        assert_eq!(
            management.certificate(&names(&["pump-1"]), &[[9; 32]]),
            None
        );
        assert_eq!(management.certificate(&[], &[]), None);
        let bootstrap = door(Purpose::Bootstrap);
        assert_eq!(bootstrap.raw_key(&[1; 32]), None);
        assert_eq!(bootstrap.certificate(&names(&["meter-7"]), &[]), None);
    }

    fn of_authority(proof: Proof, endpoints: &str, authority: u8) -> Arc<Rule> {
        Arc::new(Rule {
            authority: Some([authority; 32]),
            ..rule(proof, endpoints)
        })
    }

    fn certified(name: &str, authority: u8) -> Identity {
        Identity::Certified(Box::new(Certified {
            authority: [authority; 32],
            name: name.into(),
        }))
    }

    #[test]
    fn the_authority_of_one_customer_names_no_device_of_another() {
        let rules = rules(&[(Proof::Certificate(None), "clock")]);
        rules.insert(of_authority(Proof::Certificate(None), "red-*", 1));
        rules.insert(of_authority(Proof::Certificate(None), "blue-*", 2));
        let gateway = || Proof::Certificate(Some("gateway".into()));
        rules.insert(of_authority(gateway(), "red-*", 1));
        rules.insert(of_authority(gateway(), "blue-*", 2));
        let door = Door {
            keys: View {
                table: Arc::default(),
                purpose: Purpose::Management,
            },
            rules: Arc::clone(&rules),
            purpose: Purpose::Management,
        };
        let come_in = |name: &str, authorities: &[[u8; 32]]| {
            let found = door.certificate(&[name.to_owned()], authorities);
            found.map(|(identity, _)| identity)
        };
        for (name, authorities, expected) in [
            ("red-1", &[[1; 32]][..], Some(certified("red-1", 1))),
            ("red-1", &[[2; 32]], None),
            ("red-1", &[], None),
            ("blue-1", &[[1; 32]], None),
            // The nearer one comes first, and those above it count too.
            ("blue-1", &[[9; 32], [2; 32]], Some(certified("blue-1", 2))),
            ("gateway", &[[2; 32]], Some(certified("gateway", 2))),
            ("clock", &[[1; 32]], Some(certificate("clock"))),
        ] {
            assert_eq!(come_in(name, authorities), expected, "{name}");
        }
        for (identity, name, expected) in [
            (certified("red-1", 1), "red-1", true),
            (certified("red-1", 1), "red-2", false),
            (certified("red-1", 2), "red-1", false),
            (certificate("red-1"), "red-1", false),
            (certified("gateway", 1), "red-7", true),
            (certified("gateway", 1), "blue-7", false),
            (certified("gateway", 2), "blue-7", true),
            (certified("clock", 1), "clock", true),
            (certificate("clock"), "clock", true),
        ] {
            let may = rules.may_be(&identity, name, Purpose::Management);
            assert_eq!(may, expected, "{identity} as {name}");
        }
        assert!(rules.claim("red-9") && rules.claim("blue-9"));
    }
}
