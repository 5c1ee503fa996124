//! What the database may not have yet, for who changes it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ::sled::IVec;

use super::applier::Values;

/// What the database may not have yet.
#[derive(Default)]
pub(super) struct Behind {
    /// The last commit of each group, and what it changes.
    groups: VecDeque<(u64, Arc<Values>)>,
    /// The last value of each key, and in which group.
    values: HashMap<Vec<u8>, (u64, Option<IVec>)>,
}

impl Behind {
    pub(super) fn add(&mut self, last: u64, changes: &Arc<Values>) {
        for (key, value) in &**changes {
            self.values.insert(key.clone(), (last, value.clone()));
        }
        self.groups.push_back((last, Arc::clone(changes)));
    }

    pub(super) fn value(&self, key: &[u8]) -> Option<&Option<IVec>> {
        self.values.get(key).map(|(_, value)| value)
    }

    pub(super) fn forget(&mut self, applied: u64) {
        while let Some((last, changes)) = self.groups.pop_front_if(|(last, _)| *last <= applied) {
            for key in changes.keys() {
                if self
                    .values
                    .get(key)
                    .is_some_and(|(group, _)| *group == last)
                {
                    self.values.remove(key);
                }
            }
        }
    }
}
