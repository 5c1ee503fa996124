//! How durable requests end: each is told once its record is gone, however often that takes.

use std::collections::VecDeque;

use super::request_key;
use super::types::{Endpoint, Event, Now, Outcome, RequestId};
use tinsmith_store::Op;

/// The end of a durable request.
pub(super) struct End {
    pub(super) endpoint: Endpoint,
    pub(super) id: RequestId,
    pub(super) outcome: Outcome,
}

impl End {
    /// What must be durable before it is told: a restarted server would send the request again.
    pub(super) fn op(&self) -> Op {
        Op::Delete(request_key(&self.endpoint, self.id))
    }

    pub(super) fn event(self) -> Event {
        Event::Completed {
            endpoint: self.endpoint,
            id: self.id,
            outcome: self.outcome,
        }
    }
}

/// Milliseconds until what could not be stored is stored again.
const PAUSE: u64 = 1_000;

/// Ends that could not be stored, with the times of the next try (monotonic, ms).
#[derive(Default)]
pub(super) struct Untold(VecDeque<(u64, End)>);

impl Untold {
    pub(super) fn add(&mut self, now: Now, end: End) {
        self.0.push_back((now.mono.saturating_add(PAUSE), end));
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.0.front().map(|(at, _)| *at)
    }

    /// Takes one out whose time has come.
    pub(super) fn due(&mut self, now: Now) -> Option<End> {
        let (_, end) = self.0.pop_front_if(|(at, _)| *at <= now.mono)?;
        Some(end)
    }
}
