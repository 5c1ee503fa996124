//! What became of durable requests, for whoever asks later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use tinsmith_lwm2m::{Endpoint, Outcome, RequestId};

/// The most requests that are remembered; of those that have ended the oldest is forgotten first.
const MAX: usize = 1000;
/// How long a result is kept (ms).
const KEPT: u64 = 3_600_000;

/// A durable request that somebody may ask about.
#[derive(Clone, Debug, PartialEq)]
pub struct Later {
    /// The device.
    pub endpoint: Endpoint,
    /// Wall time (ms): until then it waits for the device, or its result is kept.
    pub until: u64,
    /// How it ended; `None` while it waits.
    pub outcome: Option<Outcome>,
}

#[derive(Default)]
struct Table {
    all: HashMap<RequestId, Later>,
    /// Those that have ended, by the time until which they are kept.
    ended: BTreeMap<(u64, RequestId), ()>,
}

/// The requests of all shards.
#[derive(Default)]
pub(super) struct Results {
    table: Mutex<Table>,
    changed: Notify,
}

impl Results {
    /// A request that is about to be asked; false if there are too many that wait.
    pub(super) fn expect(&self, id: RequestId, endpoint: Endpoint, until: u64) -> bool {
        let mut table = self.lock();
        if table.all.len() >= MAX && !table.forget_one() {
            return false;
        }
        let later = Later {
            endpoint,
            until,
            outcome: None,
        };
        table.all.insert(id, later);
        true
    }

    /// A request has ended; perhaps one of the process before this one.
    pub(super) fn ended(&self, now: u64, id: RequestId, endpoint: &Endpoint, outcome: &Outcome) {
        let mut table = self.lock();
        table.forget_old(now);
        if table.all.len() >= MAX && !table.all.contains_key(&id) && !table.forget_one() {
            return;
        }
        let until = now.saturating_add(KEPT);
        let later = Later {
            endpoint: endpoint.clone(),
            until,
            outcome: Some(outcome.clone()),
        };
        table.all.insert(id, later);
        table.ended.insert((until, id), ());
        drop(table);
        self.changed.notify_waiters();
    }

    pub(super) fn get(&self, now: u64, id: RequestId) -> Option<Later> {
        let mut table = self.lock();
        table.forget_old(now);
        table.all.get(&id).cloned()
    }

    /// The next change of any; made before a look at the table, it misses none.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_one(&mut self) -> bool {
        let oldest = self.ended.pop_first();
        oldest.is_some_and(|((_, id), ())| self.all.remove(&id).is_some())
    }

    fn forget_old(&mut self, now: u64) {
        while let Some(((until, _), ())) = self.ended.first_key_value()
            && *until <= now
        {
            self.forget_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_for_an_hour_and_never_too_many() {
        let results = Results::default();
        let endpoint = Endpoint::from("dev");
        for id in 0..MAX as u64 {
            assert!(results.expect(RequestId(id), endpoint.clone(), 50));
        }
        let one_more = RequestId(MAX as u64);
        assert!(!results.expect(one_more, endpoint.clone(), 50));
        results.ended(10, RequestId(3), &endpoint, &Outcome::Done);
        let later = results.get(11, RequestId(3)).unwrap();
        assert_eq!(later.outcome, Some(Outcome::Done));
        assert_eq!(results.get(11, RequestId(4)).unwrap().outcome, None);
        // What has ended makes room.
        assert!(results.expect(one_more, endpoint.clone(), 50));
        assert_eq!(results.get(11, RequestId(3)), None);
        results.ended(20, one_more, &endpoint, &Outcome::Reset);
        assert!(results.get(20 + KEPT - 1, one_more).is_some());
        assert_eq!(results.get(20 + KEPT, one_more), None);
    }
}
