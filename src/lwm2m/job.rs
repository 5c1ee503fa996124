//! Requests that wait for a device, in the order in which they were asked.

use std::collections::VecDeque;

use lwm2m_objects::Path;

use super::ends::End;
use super::shared::{Context, Waiting};
use super::target::Target;
use super::types::{DeviceRequest, Endpoint, Event, Now, Operation, Outcome, RequestId};

/// A request that waits or is open.
#[derive(Debug)]
pub(super) struct Job {
    /// `None`: our own.
    pub(super) id: Option<RequestId>,
    pub(super) operation: Operation,
    /// Monotonic, ms.
    pub(super) deadline: u64,
    pub(super) keep: Keep,
    /// What the operation is a part of, if it is one of several.
    unit: Option<Box<Unit>>,
}

/// Operations that are one job.
#[derive(Debug)]
struct Unit {
    /// Those after the job's.
    rest: VecDeque<Operation>,
    /// Of those before it.
    outcomes: Vec<Outcome>,
    /// How long each may take, in milliseconds.
    time: u64,
}

/// What the store has of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    No,
    /// Its record is being written; it must not be sent yet.
    Storing,
    /// Its record.
    Stored,
}

/// How long the rest of a long notification may take, in milliseconds.
const REST: u64 = 120_000;

impl Job {
    pub(super) fn new(now: Now, request: DeviceRequest, keep: Keep) -> Self {
        let time = request.expires.saturating_sub(now.wall);
        let (operation, unit) = match request.operation {
            Operation::Unit(all) => {
                let mut rest = VecDeque::from(all);
                let first = rest.pop_front();
                let unit = Unit {
                    rest,
                    outcomes: Vec::new(),
                    time,
                };
                let first = first.unwrap_or_else(|| Operation::read(Path::ROOT));
                (first, Some(Box::new(unit)))
            }
            one => (one, None),
        };
        Job {
            id: Some(request.id),
            operation,
            deadline: now.mono.saturating_add(time),
            keep,
            unit,
        }
    }

    /// Reads what a notification was too short for.
    pub(super) fn rest(now: Now, target: Target) -> Self {
        Self::own(now, Operation::read(target))
    }

    /// Observes anew; the value that comes with it counts as a notification.
    pub(super) fn again(now: Now, target: Target) -> Self {
        Self::own(now, Operation::observe(target))
    }

    fn own(now: Now, operation: Operation) -> Self {
        Job {
            id: None,
            operation,
            deadline: now.mono.saturating_add(REST),
            keep: Keep::No,
            unit: None,
        }
    }

    /// Goes on with what follows in its unit. If nothing does, it has to finish, with the outcome
    /// that comes back.
    pub(super) fn advance(&mut self, now: Now, outcome: Outcome) -> Option<Outcome> {
        if let Some(unit) = &mut self.unit
            && outcome.is_success()
            && let Some(next) = unit.rest.pop_front()
        {
            unit.outcomes.push(outcome);
            self.deadline = now.mono.saturating_add(unit.time);
            self.operation = next;
            return None;
        }
        Some(outcome)
    }

    /// True if it reads what a notification of this target was too short for.
    pub(super) fn is_rest_of(&self, target: &Target) -> bool {
        let reads = matches!(self.operation, Operation::Read { .. });
        self.id.is_none() && reads && self.operation.target() == *target
    }

    /// True if it observes this target anew.
    pub(super) fn is_again_of(&self, target: &Target) -> bool {
        let observes = matches!(self.operation, Operation::Observe { .. });
        self.id.is_none() && observes && self.operation.target() == *target
    }

    /// What it is about. One with several paths never begins, see [`Shard`](super::Shard).
    pub(super) fn path(&self) -> &Path {
        self.operation.path().unwrap_or(&Path::ROOT)
    }

    /// It should be durable and can't be: it ends.
    pub(super) fn not_stored(self, cx: &mut Context<'_>, endpoint: Endpoint) {
        let job = Job {
            keep: Keep::No,
            ..self
        };
        let outcome = Outcome::Cancelled("the request could not be stored".into());
        job.finish(cx, endpoint, outcome);
    }

    /// Tells its end; that of a durable one once it is forgotten.
    pub(super) fn finish(mut self, cx: &mut Context<'_>, endpoint: Endpoint, outcome: Outcome) {
        let outcome = match self.unit.take() {
            Some(mut unit) => {
                unit.outcomes.push(outcome);
                Outcome::Unit(unit.outcomes)
            }
            None => outcome,
        };
        let Some(id) = self.id else {
            if let Outcome::Content(values) = outcome {
                let target = self.operation.target();
                cx.event(Event::Notified {
                    endpoint,
                    target,
                    values,
                });
            }
            return;
        };
        cx.requests.remove(&id);
        let end = End {
            endpoint,
            id,
            outcome,
        };
        if self.keep == Keep::No {
            cx.event(end.event());
        } else {
            cx.persist(vec![end.op()], Waiting::Completed(end));
        }
    }
}

/// What waits for a device.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Job>);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, job: Job) {
        self.0.push_back(job);
    }

    /// Before all others.
    pub(super) fn push_front(&mut self, job: Job) {
        self.0.push_front(job);
    }

    /// The first can be taken. One that is being stored holds up those behind it: devices are
    /// asked in order.
    pub(super) fn is_ready(&self) -> bool {
        self.0.front().is_some_and(|job| job.keep != Keep::Storing)
    }

    /// Takes the first, if it can be taken.
    pub(super) fn next(&mut self) -> Option<Job> {
        self.0.pop_front_if(|job| job.keep != Keep::Storing)
    }

    pub(super) fn get_mut(&mut self, id: RequestId) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.id == Some(id))
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Job> {
        let at = self.0.iter().position(|job| job.id == Some(id))?;
        self.0.remove(at)
    }

    /// Takes one whose deadline has come.
    pub(super) fn expired(&mut self, now: Now) -> Option<Job> {
        let at = self.0.iter().position(|job| job.deadline <= now.mono)?;
        self.0.remove(at)
    }

    /// The first deadline (monotonic, ms).
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.0.iter().map(|job| job.deadline).min()
    }

    /// Durable ones.
    pub(super) fn kept(&self) -> usize {
        self.0.iter().filter(|job| job.keep != Keep::No).count()
    }

    /// Ends all that are not durable.
    pub(super) fn end_others(&mut self, cx: &mut Context<'_>, endpoint: &Endpoint, why: &str) {
        for job in std::mem::take(&mut self.0) {
            if job.keep == Keep::No {
                job.finish(cx, endpoint.clone(), Outcome::Cancelled(why.into()));
            } else {
                self.0.push_back(job);
            }
        }
    }
}

impl IntoIterator for Queue {
    type Item = Job;
    type IntoIter = std::collections::vec_deque::IntoIter<Job>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
