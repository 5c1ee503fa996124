//! One shard: the registry of its devices, and where their datagrams go.

use std::collections::VecDeque;
use std::sync::Arc;

use tinsmith_coap::{MessageId, Numbering, Token};
use tracing::warn;

use super::away::Away;
use super::bootstrap::Bootstrap;
use super::config::ShardConfig;
use super::device::{Device, Stage, finish};
use super::exchange::{Job, Keep};
use super::registry::Registry;
use super::route::id_bits;
use super::shared::{Context, Shared, Source, Waiting};
use super::types::{DeviceRequest, Endpoint, Event, Now, Outcome, Registration, RequestId};
use super::unreadable::Unreadable;
use super::uploads::Uploads;
use super::{Input, ListenerId, Output, Peer, Role, request_record, stored};
use tinsmith_store::{Key, Kind, Op, RecordError, Stored};

/// The LwM2M logic for the devices of one shard; see the [module](super).
pub struct Shard {
    pub(super) registry: Registry,
    pub(super) shared: Shared,
    pub(super) roles: Vec<Role>,
    pub(super) away: Away,
    pub(super) uploads: Uploads,
    pub(super) bootstrap: Bootstrap,
    pub(super) gone: VecDeque<(ListenerId, Peer, MessageId, Token)>,
    pub(super) unreadable: Unreadable,
    pub(super) next_serial: u64,
}

impl Shard {
    /// A shard without devices.
    pub fn new(config: ShardConfig) -> Self {
        let limits = config.limits;
        let bits = id_bits(usize::from(config.shards));
        let prefix = u16::from(config.index);
        Shard {
            registry: Registry::new(limits.devices_per_peer),
            shared: Shared::new(
                limits,
                config.models,
                Numbering::with_prefix(bits, prefix).unwrap_or(Numbering::ALL),
                config.seed,
            ),
            roles: config.listeners,
            away: Away::default(),
            uploads: Uploads::new(limits.uploads, limits.payload),
            bootstrap: Bootstrap::new(config.bootstrap),
            gone: VecDeque::new(),
            unreadable: Unreadable::default(),
            next_serial: 1,
        }
    }

    /// Takes the records of its devices and of their durable requests, in any order, before the
    /// first input. Returns how many devices there are now and how many records could not be
    /// read; those are left as they are.
    pub fn restore(
        &mut self,
        now: Now,
        records: impl IntoIterator<Item = (Key, Stored)>,
    ) -> (usize, usize) {
        let mut bad = 0;
        let mut requests = Vec::new();
        for (key, record) in records {
            if key.kind == Kind::REQUEST {
                requests.push((key, record));
                continue;
            }
            let mut cx = self.shared.at(now);
            match stored::read(&mut cx, &key, &record.bytes) {
                Ok(device) => {
                    let registration = Arc::clone(&device.registration);
                    let endpoint = registration.endpoint.clone();
                    cx.out
                        .push_back(Output::Learned(device.listener, device.peer));
                    cx.event(Event::Registered {
                        endpoint,
                        registration,
                        new: false,
                    });
                    let index = self.insert(device);
                    self.settle(now, index);
                }
                Err(error) => {
                    self.unreadable(key, record, &error);
                    bad += 1;
                }
            }
        }
        // In the order in which they were asked.
        requests.sort_by_key(|(_, record)| record.version);
        for (key, record) in requests {
            match request_record::read(&key, &record.bytes) {
                Ok(request) => self.command_kept(now, request, Keep::Stored),
                Err(error) => {
                    self.unreadable(key, record, &error);
                    bad += 1;
                }
            }
        }
        (self.registry.len(), bad)
    }

    fn unreadable(&mut self, key: Key, record: Stored, error: &RecordError) {
        warn!(%error, id = %String::from_utf8_lossy(&key.id), "unreadable record");
        self.unreadable.add(key, record, error);
    }

    /// What of a device's records could not be read at the start, in a sentence. It is left in the
    /// store; a registration's is set aside when the device registers.
    pub fn unreadable_of(&self, endpoint: &str) -> Option<String> {
        self.unreadable.describe(endpoint)
    }

    /// Takes one input. Drain [`Shard::poll`] after it.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Inbound {
                listener,
                peer,
                identity,
                management,
                bytes,
            } => {
                self.inbound(
                    now,
                    Source {
                        listener,
                        peer,
                        identity: &identity,
                        management,
                    },
                    bytes,
                );
            }
            Input::Command(request) => self.command(now, request),
            Input::Withdraw(id) => {
                self.withdraw(now, id);
            }
            Input::Persisted(id, _) => self.persisted(now, id, true),
            Input::PersistFailed(id, _) => self.persisted(now, id, false),
            Input::PeerGone(listener, peer) => {
                let mut cx = self.shared.at(now);
                self.bootstrap.gone(&mut cx, (listener, peer));
                for index in self.registry.by_peer(listener, peer).to_vec() {
                    self.with(now, index, |device, cx| device.unanswered(cx));
                }
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to carry out.
    pub fn poll(&mut self) -> Option<Output> {
        self.shared.out.pop_front()
    }

    /// When [`Input::Tick`] is due, on the monotonic clock (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        let device = self.registry.next_deadline();
        let others = [self.bootstrap.next_deadline(), self.away.next_deadline()];
        others.into_iter().flatten().chain(device).min()
    }

    /// A device, if it is registered.
    pub fn registration(&self, endpoint: &str) -> Option<Arc<Registration>> {
        let index = self.registry.by_endpoint(endpoint)?;
        let device = self.registry.get(index)?;
        device
            .stage
            .is_registered()
            .then(|| Arc::clone(&device.registration))
    }

    /// All registered devices, in no order.
    pub fn registrations(&self) -> impl Iterator<Item = Arc<Registration>> {
        let devices = self.registry.iter();
        devices
            .filter(|d| d.stage.is_registered())
            .map(|d| Arc::clone(&d.registration))
    }

    fn command(&mut self, now: Now, request: DeviceRequest) {
        if self.shared.requests.contains_key(&request.id) {
            return;
        }
        let keep = if request.durable {
            Keep::Wanted
        } else {
            Keep::No
        };
        self.command_kept(now, request, keep);
    }

    fn command_kept(&mut self, now: Now, request: DeviceRequest, mut keep: Keep) {
        let DeviceRequest {
            id,
            endpoint,
            operation,
            expires,
            durable: _,
        } = request;
        let index = self.registry.by_endpoint(&endpoint);
        let mut job = Job {
            id: Some(id),
            operation,
            deadline: now.mono.saturating_add(expires.saturating_sub(now.wall)),
            keep,
        };
        let refused = match (index, keep) {
            _ if job.operation.path().is_none() => {
                let why = "composite operations are not supported yet";
                Some(Outcome::Cancelled(why.into()))
            }
            _ if job.deadline <= now.mono => Some(Outcome::Expired),
            (None, Keep::Stored) => None,
            (None, _) => Some(Outcome::NotRegistered),
            (Some(index), Keep::Wanted) => {
                let device = self.registry.get(index);
                let kept = device.map_or(0, |device| device.kept());
                if kept >= self.shared.limits.durable {
                    let why = "too many durable requests wait for the device";
                    Some(Outcome::Cancelled(why.into()))
                } else {
                    match request_record::write(&endpoint, id, expires, &job.operation) {
                        Ok(op) => {
                            keep = Keep::Storing;
                            self.persist(op, Waiting::Request(id));
                            None
                        }
                        Err(error) => Some(Outcome::Cancelled(format!("can't be kept: {error}"))),
                    }
                }
            }
            _ => None,
        };
        if job.keep == Keep::Wanted {
            job.keep = if keep == Keep::Storing {
                keep
            } else {
                Keep::No
            };
        }
        if let Some(outcome) = refused {
            let mut cx = self.shared.at(now);
            return finish(&mut cx, endpoint, &job, outcome);
        }
        self.shared.requests.insert(id, endpoint.clone());
        match index {
            Some(index) => self.with(now, index, |device, cx| device.enqueue(cx, job)),
            None => self.wait(now, &endpoint, job),
        }
    }

    /// A durable request waits for a device that is not registered.
    fn wait(&mut self, now: Now, endpoint: &Endpoint, job: Job) {
        if self.away.len() >= self.shared.limits.away {
            let mut cx = self.shared.at(now);
            let why = "too many requests wait for devices that are away";
            let outcome = Outcome::Cancelled(why.into());
            return finish(&mut cx, endpoint.clone(), &job, outcome);
        }
        self.away.put(endpoint, job);
    }

    /// A device is not registered any more: its durable requests wait by its name.
    pub(super) fn part(&mut self, now: Now, device: &mut Device, why: &str) {
        let mut cx = self.shared.at(now);
        device.end_requests(&mut cx, why);
        let endpoint = device.endpoint().clone();
        for job in std::mem::take(&mut device.queue) {
            self.wait(now, &endpoint, job);
        }
    }

    fn withdraw(&mut self, now: Now, id: RequestId) {
        let Some(endpoint) = self.shared.requests.get(&id).cloned() else {
            return;
        };
        if let Some(index) = self.registry.by_endpoint(&endpoint) {
            self.with(now, index, |device, cx| device.withdraw(cx, id));
        } else if let Some(job) = self.away.remove(&endpoint, id) {
            let mut cx = self.shared.at(now);
            let outcome = Outcome::Cancelled("the request was withdrawn".into());
            finish(&mut cx, endpoint, &job, outcome);
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
        } else if let Some(mut job) = self.away.remove(&endpoint, id) {
            job.keep = Keep::No;
            let mut cx = self.shared.at(now);
            let outcome = Outcome::Cancelled("the request could not be stored".into());
            finish(&mut cx, endpoint, &job, outcome);
        }
    }

    fn tick(&mut self, now: Now) {
        let mut cx = self.shared.at(now);
        self.bootstrap.tick(&mut cx);
        while let Some((endpoint, job)) = self.away.expired(now.mono) {
            finish(&mut cx, endpoint, &job, Outcome::Expired);
        }
        while let Some(index) = self.registry.due(now.mono) {
            match self.registry.get(index) {
                Some(device) if device.expires <= now.mono => self.expire(now, index),
                _ => self.settle(now, index),
            }
        }
    }

    fn expire(&mut self, now: Now, index: u32) {
        let Some(mut device) = self.registry.remove(index) else {
            return;
        };
        self.part(now, &mut device, "the registration expired");
        let endpoint = device.endpoint().clone();
        if device.stage.is_registered() {
            let mut cx = self.shared.at(now);
            cx.event(Event::Deregistered {
                endpoint: endpoint.clone(),
                expired: true,
            });
        }
        let op = Op::Delete(stored::key(&endpoint));
        self.persist(op, Waiting::Background(endpoint));
    }

    pub(super) fn persist(&mut self, op: Op, waiting: Waiting) {
        self.shared
            .persists
            .persist(&mut self.shared.out, vec![op], waiting);
    }

    /// Lets a device do something, then everything that follows.
    pub(super) fn with(
        &mut self,
        now: Now,
        index: u32,
        f: impl FnOnce(&mut Device, &mut Context<'_>),
    ) {
        if let Some(device) = self.registry.get_mut(index) {
            let mut cx = self.shared.at(now);
            f(device, &mut cx);
            self.settle(now, index);
        }
    }

    /// Sends what can be sent, sets the timer, stores what has changed.
    pub(super) fn settle(&mut self, now: Now, index: u32) {
        let Some(device) = self.registry.get_mut(index) else {
            return;
        };
        let mut cx = self.shared.at(now);
        device.pump(&mut cx);
        let changed = device.stage == Stage::Here && std::mem::take(&mut device.dirty);
        self.registry.set_timer(index);
        if changed && let Some(device) = self.registry.get_mut(index) {
            device.stored_expires = device.registration.expires;
            let endpoint = device.endpoint().clone();
            match stored::write(device) {
                Ok(op) => self.persist(op, Waiting::Background(endpoint)),
                Err(error) => warn!(%error, %endpoint, "a registration can't be stored"),
            }
        }
    }

    pub(super) fn insert(&mut self, mut device: Device) -> u32 {
        if self.away.len() > 0 {
            device.queue = self.away.take(device.endpoint());
        }
        self.registry.insert(device)
    }
}
