//! All OSCORE contexts, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tinsmith_lwm2m::{OscoreContext, OscoreStart};

use crate::context::{Context, identity};
use crate::entry::{Origin, Purpose};

/// A context, and what shards know of it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) context: Context,
    /// The same one as long as its keys are.
    pub(crate) shown: Arc<OscoreContext>,
}

#[derive(Default)]
struct All {
    /// By the device's ID.
    by_id: BTreeMap<Vec<u8>, Known>,
    /// The same in the order of their identities.
    ids: BTreeMap<String, Vec<u8>>,
    names: HashMap<String, BTreeSet<Vec<u8>>>,
}

/// All contexts. Names for which there is one belong to who has it.
#[derive(Default)]
pub(crate) struct Contexts(RwLock<All>);

impl Known {
    /// `None` if it can't be a context.
    pub(crate) fn new(context: Context, start: OscoreStart) -> Option<Self> {
        let shown = OscoreContext {
            endpoint: context.endpoint.as_str().into(),
            master: context.master().ok()?,
            start,
        };
        Some(Self {
            context,
            shown: Arc::new(shown),
        })
    }
}

impl Contexts {
    fn read(&self) -> RwLockReadGuard<'_, All> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, All> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one; false if another has its ID.
    pub(crate) fn insert(&self, known: Known) -> bool {
        let mut all = self.write();
        let id = known.context.device.clone();
        if all.by_id.contains_key(&id) {
            return false;
        }
        let of_name = all.names.entry(known.context.endpoint.clone());
        of_name.or_default().insert(id.clone());
        all.ids.insert(identity(&id), id.clone());
        all.by_id.insert(id, known);
        true
    }

    /// The device has used what it got; what it has now.
    pub(crate) fn used(&self, id: &[u8]) -> Option<Context> {
        let mut all = self.write();
        let known = all.by_id.get_mut(id)?;
        known.context.origin = Origin::Used;
        Some(known.context.clone())
    }

    pub(crate) fn remove(&self, id: &[u8]) -> Option<Known> {
        let mut all = self.write();
        let known = all.by_id.remove(id)?;
        all.ids.remove(&identity(id));
        let endpoint = &known.context.endpoint;
        if let Some(of_name) = all.names.get_mut(endpoint) {
            of_name.remove(id);
            if of_name.is_empty() {
                all.names.remove(endpoint);
            }
        }
        Some(known)
    }

    pub(crate) fn shown(&self, id: &[u8]) -> Option<Arc<OscoreContext>> {
        let all = self.read();
        all.by_id.get(id).map(|known| Arc::clone(&known.shown))
    }

    pub(crate) fn get(&self, id: &[u8]) -> Option<Context> {
        let all = self.read();
        all.by_id.get(id).map(|known| known.context.clone())
    }

    /// The ID of what is called so.
    pub(crate) fn id(&self, identity: &str) -> Option<Vec<u8>> {
        self.read().ids.get(identity).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Contexts by their identities, after `after`.
    pub(crate) fn page(&self, after: &str, most: usize) -> Vec<Context> {
        let all = self.read();
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let page = all.ids.range::<str, _>(rest).take(most);
        let known = page.filter_map(|(_, id)| all.by_id.get(id));
        known.map(|known| known.context.clone()).collect()
    }

    /// Management contexts that a device of this name got at bootstraps.
    pub(crate) fn issued(&self, endpoint: &str) -> Vec<Context> {
        let all = self.read();
        let of_name = all.names.get(endpoint).into_iter().flatten();
        let found = of_name.filter_map(|id| all.by_id.get(id));
        let contexts = found.map(|known| &known.context);
        contexts
            .filter(|its| its.purpose == Purpose::Management && its.origin != Origin::Given)
            .cloned()
            .collect()
    }

    /// Whether a name belongs to who has a context.
    pub(crate) fn claim(&self, endpoint: &str) -> bool {
        self.read().names.contains_key(endpoint)
    }

    /// Whether whose messages carry an ID may have this name for this purpose.
    pub(crate) fn may_be(&self, id: &[u8], endpoint: &str, purpose: Purpose) -> bool {
        let all = self.read();
        let context = all.by_id.get(id).map(|known| &known.context);
        context.is_some_and(|its| its.endpoint == endpoint && its.purpose == purpose)
    }
}
