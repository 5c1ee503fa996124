//! What is asked of devices: requests are taken in, wait, are taken back, and durable ones survive
//! the registration that they were asked under.

use super::device::Device;
use super::job::{Job, Keep, Queue};
use super::request_record;
use super::shard::Shard;
use super::shared::Waiting;
use super::types::{DeviceRequest, Endpoint, MAX_UNIT, Now, Operation, Outcome, RequestId};

/// Why a request can't wait, whoever it is for.
fn refused(now: Now, request: &DeviceRequest) -> Option<Outcome> {
    let operations = match &request.operation {
        Operation::Unit(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let why = if operations.is_empty() || operations.len() > MAX_UNIT {
        Some("a unit has 1 to 16 operations")
    } else if operations.iter().any(|of| matches!(of, Operation::Unit(_))) {
        Some("there are no units in units")
    } else if operations.iter().any(|of| of.path().is_none()) {
        Some("composite operations are not supported yet")
    } else {
        None
    };
    if let Some(why) = why {
        return Some(Outcome::Cancelled(why.into()));
    }
    (request.expires <= now.wall).then_some(Outcome::Expired)
}

impl Shard {
    /// `absent`: the device need not be registered, if the request is durable.
    pub(super) fn command(&mut self, now: Now, request: DeviceRequest, absent: bool) {
        if self.shared.requests.contains_key(&request.id) {
            return;
        }
        let endpoint = request.endpoint.clone();
        match self.accept_request(now, &request, absent) {
            Ok(keep) => self.wait(now, &endpoint, Job::new(now, request, keep)),
            Err(outcome) => {
                let job = Job::new(now, request, Keep::No);
                job.finish(&mut self.shared.at(now), endpoint, outcome);
            }
        }
    }

    /// Checks a request; one that is durable is being stored then.
    fn accept_request(
        &mut self,
        now: Now,
        request: &DeviceRequest,
        absent: bool,
    ) -> Result<Keep, Outcome> {
        if let Some(outcome) = refused(now, request) {
            return Err(outcome);
        }
        let index = self.registry.by_endpoint(&request.endpoint);
        let device = index.and_then(|index| self.registry.get(index));
        let kept = match device {
            Some(_) if !request.durable => return Ok(Keep::No),
            Some(device) => device.kept(),
            None if absent && request.durable => self.away.len_of(&request.endpoint),
            None => return Err(Outcome::NotRegistered),
        };
        if kept >= self.shared.limits.durable {
            let why = "too many durable requests wait for the device";
            return Err(Outcome::Cancelled(why.into()));
        }
        let op = request_record::write(request)
            .map_err(|error| Outcome::Cancelled(format!("can't be kept: {error}")))?;
        let mut cx = self.shared.at(now);
        cx.persist(vec![op], Waiting::Request(request.id));
        Ok(Keep::Storing)
    }

    /// Takes a durable request of the process before this one.
    pub(super) fn restore_request(&mut self, now: Now, request: DeviceRequest) {
        let endpoint = request.endpoint.clone();
        let refused = refused(now, &request);
        let job = Job::new(now, request, Keep::Stored);
        match refused {
            Some(outcome) => job.finish(&mut self.shared.at(now), endpoint, outcome),
            None => self.wait(now, &endpoint, job),
        }
    }

    /// A request waits for its device, registered or not.
    fn wait(&mut self, now: Now, endpoint: &Endpoint, job: Job) {
        if let Some(id) = job.id {
            self.shared.requests.insert(id, endpoint.clone());
        }
        if let Some(index) = self.registry.by_endpoint(endpoint) {
            self.with(now, index, |device, cx| device.enqueue(cx, job));
        } else if self.away.len() < self.shared.limits.away {
            self.away.put(endpoint, job);
        } else {
            let why = "too many requests wait for devices that are away";
            let outcome = Outcome::Cancelled(why.into());
            job.finish(&mut self.shared.at(now), endpoint.clone(), outcome);
        }
    }

    /// A device is not registered any more: its durable requests wait by its name.
    pub(super) fn part(&mut self, now: Now, device: Device, why: &str) {
        let endpoint = device.endpoint().clone();
        let queue = device.part(&mut self.shared.at(now), why);
        for job in queue {
            self.wait(now, &endpoint, job);
        }
    }

    /// What waited for a device that comes.
    pub(super) fn waited(&mut self, endpoint: &str) -> Queue {
        if self.away.len() == 0 {
            return Queue::default();
        }
        self.away.take(endpoint)
    }

    /// Takes back all that waits for a device that is not registered.
    pub(super) fn withdraw_all(&mut self, now: Now, endpoint: &Endpoint) {
        let mut cx = self.shared.at(now);
        for job in self.away.take(endpoint) {
            let outcome = Outcome::Cancelled("the device was deleted".into());
            job.finish(&mut cx, endpoint.clone(), outcome);
        }
    }

    pub(super) fn withdraw(&mut self, now: Now, id: RequestId) {
        let Some(endpoint) = self.shared.requests.get(&id).cloned() else {
            return;
        };
        if let Some(index) = self.registry.by_endpoint(&endpoint) {
            self.with(now, index, |device, cx| device.withdraw(cx, id));
        } else if let Some(job) = self.away.remove(&endpoint, id) {
            let outcome = Outcome::Cancelled("the request was withdrawn".into());
            job.finish(&mut self.shared.at(now), endpoint, outcome);
        }
    }

    /// The record of a durable request is there, or could not be written.
    pub(super) fn request_stored(&mut self, now: Now, id: RequestId, durable: bool) {
        let Some(endpoint) = self.shared.requests.get(&id).cloned() else {
            return;
        };
        if let Some(index) = self.registry.by_endpoint(&endpoint) {
            self.with(now, index, |device, cx| {
                device.request_stored(cx, id, durable);
            });
        } else if durable {
            if let Some(job) = self.away.get_mut(&endpoint, id) {
                job.keep = Keep::Stored;
            }
        } else if let Some(job) = self.away.remove(&endpoint, id) {
            job.not_stored(&mut self.shared.at(now), endpoint);
        }
    }

    /// Ends what waited too long for devices that are away.
    pub(super) fn expire_away(&mut self, now: Now) {
        let mut cx = self.shared.at(now);
        while let Some((endpoint, job)) = self.away.expired(now) {
            job.finish(&mut cx, endpoint, Outcome::Expired);
        }
    }
}
