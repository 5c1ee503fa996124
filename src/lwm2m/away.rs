//! Durable requests of devices that are not registered: they wait by endpoint name, whatever
//! becomes of registrations, until they are answered, expire or are taken back.

use std::collections::BTreeMap;

use super::hash::HashMap;
use super::job::{Job, Queue};
use super::types::{Endpoint, Now, RequestId};

/// The table, in the order in which requests were asked for each device.
#[derive(Default)]
pub(super) struct Away {
    queues: HashMap<Endpoint, Queue>,
    /// By deadline (monotonic, ms).
    deadlines: BTreeMap<(u64, RequestId), Endpoint>,
}

impl Away {
    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// How many wait for a device.
    pub(super) fn len_of(&self, endpoint: &str) -> usize {
        self.queues.get(endpoint).map_or(0, Queue::len)
    }

    /// Adds a request behind the others of its device; one without id is not the asker's and has
    /// no place here.
    pub(super) fn put(&mut self, endpoint: &Endpoint, job: Job) {
        let Some(id) = job.id else { return };
        self.deadlines.insert((job.deadline, id), endpoint.clone());
        self.queues.entry(endpoint.clone()).or_default().push(job);
    }

    /// The device is here again.
    pub(super) fn take(&mut self, endpoint: &str) -> Queue {
        let queue = self.queues.remove(endpoint).unwrap_or_default();
        for job in queue.iter() {
            self.forget_deadline(job);
        }
        queue
    }

    /// A request that waits.
    pub(super) fn get_mut(&mut self, endpoint: &str, id: RequestId) -> Option<&mut Job> {
        self.queues.get_mut(endpoint)?.get_mut(id)
    }

    /// Takes a request out.
    pub(super) fn remove(&mut self, endpoint: &str, id: RequestId) -> Option<Job> {
        let queue = self.queues.get_mut(endpoint)?;
        let job = queue.remove(id)?;
        if queue.is_empty() {
            self.queues.remove(endpoint);
        }
        self.forget_deadline(&job);
        Some(job)
    }

    /// The first deadline, monotonic (ms).
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    /// Takes out a request whose deadline has come.
    pub(super) fn expired(&mut self, now: Now) -> Option<(Endpoint, Job)> {
        let (&(at, id), endpoint) = self.deadlines.first_key_value()?;
        if at > now.mono {
            return None;
        }
        let endpoint = endpoint.clone();
        let job = self.remove(&endpoint, id)?;
        Some((endpoint, job))
    }

    fn forget_deadline(&mut self, job: &Job) {
        if let Some(id) = job.id {
            self.deadlines.remove(&(job.deadline, id));
        }
    }
}
