//! Devices that were refused as the name is not theirs, in the audit log.

use std::collections::BTreeMap;
use std::sync::Arc;

use tinsmith_access::{Entry, Limit, Outcome, Rates, Who};
use tinsmith_lwm2m::{Event, Now, Role};

use crate::doors::Doors;

/// How many are written down in a second, and at once: strangers must not be able to push out what
/// operators did.
const PER_SECOND: f64 = 1.0 / 60.0;
const AT_ONCE: u32 = 20;

/// Those that are not written down yet.
pub(crate) struct Impostors {
    doors: Arc<Doors>,
    rates: Rates<()>,
    /// The last one, and how many there are.
    last: Option<(Entry, u64)>,
}

impl Impostors {
    pub(crate) fn new(doors: &Arc<Doors>) -> Self {
        Impostors {
            doors: Arc::clone(doors),
            rates: Rates::new(Limit::new(PER_SECOND, AT_ONCE), 1),
            last: None,
        }
    }

    /// Takes an event that is one.
    pub(crate) fn take(&mut self, event: &Event) {
        let Event::Impostor {
            endpoint,
            identity,
            peer,
            role,
        } = event
        else {
            return;
        };
        let operation = match role {
            Role::Management => "device.register",
            Role::Bootstrap => "device.bootstrap",
        };
        let entry = Entry {
            at: 0,
            who: Who {
                name: identity.to_string(),
                role: None,
            },
            from: peer.address.to_string(),
            operation: operation.to_owned(),
            target: endpoint.to_string(),
            detail: BTreeMap::new(),
            outcome: None,
        };
        let count = self.last.take().map_or(0, |(_, count)| count);
        self.last = Some((entry, count + 1));
    }

    /// Writes down the last of them, as one entry for all, if that may be.
    pub(crate) async fn write(&mut self, now: Now) {
        if self.last.is_none() || self.rates.take(now.mono, &()).is_err() {
            return;
        }
        let Some((mut entry, count)) = self.last.take() else {
            return;
        };
        if count > 1 {
            let more = (count - 1).to_string();
            entry.detail.insert("others".to_owned(), more);
        }
        entry.at = now.wall;
        entry.outcome = Some(Outcome {
            at: now.wall,
            done: false,
            answer: "4.03".to_owned(),
        });
        if let Err(error) = self.doors.audit.begin(&entry).await {
            tracing::warn!(%error, "a refused device can't be written down");
        }
    }
}
