//! One shard: the registry of its devices, and where their datagrams go.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use tinsmith_coap::{Block, MessageId, Numbering, OptionNumber, RequestHandle, Token};
use tracing::warn;

use super::bootstrap::Bootstrap;
use super::config::{Limits, ShardConfig};
use super::device::{Context, Device, finish};
use super::exchange::{Job, Keep};
use super::random::Random;
use super::route::id_bits;
use super::types::{DeviceRequest, Endpoint, Event, Now, Outcome, Registration, RequestId};
use super::unreadable::Unreadable;
use super::uploads::Uploads;
use super::{Identity, Input, ListenerId, Output, Peer, PersistId, Role, request_record, stored};
use tinsmith_store::{Batch, Key, Kind, Op, RecordError, Stored};

/// Critical options that are understood in requests.
pub(super) const CRITICAL: [OptionNumber; 7] = [
    OptionNumber::URI_HOST,
    OptionNumber::URI_PORT,
    OptionNumber::URI_PATH,
    OptionNumber::URI_QUERY,
    OptionNumber::ACCEPT,
    OptionNumber::BLOCK1,
    OptionNumber::BLOCK2,
];

/// Room for one datagram of ours.
const DATAGRAM: usize = 1280;

/// What a commit was for.
pub(super) enum Waiting {
    Register {
        index: u32,
        serial: u64,
        handle: RequestHandle,
        block1: Option<Block>,
    },
    Update {
        index: u32,
        serial: u64,
        handle: RequestHandle,
        block1: Option<Block>,
    },
    Deregister {
        index: u32,
        serial: u64,
        handle: RequestHandle,
    },
    /// A durable request may be sent.
    Request(RequestId),
    /// A durable request is forgotten: its end may be told.
    Completed(Event),
    /// Nobody waits.
    Background(Endpoint),
}

/// Commits that are under way.
#[derive(Default)]
pub(super) struct Persists {
    pub(super) waiting: HashMap<PersistId, Waiting>,
    last: u64,
}

impl Persists {
    pub(super) fn persist(&mut self, out: &mut VecDeque<Output>, ops: Vec<Op>, waiting: Waiting) {
        self.last += 1;
        let id = PersistId(self.last);
        self.waiting.insert(id, waiting);
        let batch = Batch {
            expect: Vec::new(),
            ops,
        };
        out.push_back(Output::Persist(id, batch));
    }
}

/// The LwM2M logic for the devices of one shard; see the [module](super).
pub struct Shard {
    pub(super) limits: Limits,
    pub(super) roles: Vec<Role>,
    pub(super) numbering: Numbering,
    pub(super) random: Random,
    pub(super) devices: Vec<Option<Box<Device>>>,
    pub(super) free: Vec<u32>,
    pub(super) by_endpoint: HashMap<Endpoint, u32>,
    pub(super) by_location: HashMap<u64, u32>,
    pub(super) by_peer: HashMap<(ListenerId, Peer), Vec<u32>>,
    pub(super) timers: BTreeSet<(u64, u32)>,
    pub(super) requests: HashMap<RequestId, u32>,
    pub(super) uploads: Uploads,
    pub(super) bootstrap: Bootstrap,
    pub(super) gone: VecDeque<(ListenerId, Peer, MessageId, Token)>,
    pub(super) persists: Persists,
    pub(super) unreadable: Unreadable,
    pub(super) next_serial: u64,
    pub(super) out: VecDeque<Output>,
    pub(super) buffer: Box<[u8]>,
}

macro_rules! context {
    ($self:ident, $now:expr) => {
        Context {
            now: $now,
            out: &mut $self.out,
            requests: &mut $self.requests,
            persists: &mut $self.persists,
            random: &mut $self.random,
            buffer: &mut $self.buffer,
            limits: &$self.limits,
            numbering: $self.numbering,
        }
    };
}
pub(super) use context;

/// Where a request came from.
#[derive(Clone, Copy)]
pub(super) struct Source<'i> {
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    pub(super) identity: &'i Identity,
    pub(super) management: Option<SocketAddr>,
}

impl Shard {
    /// A shard without devices.
    pub fn new(config: ShardConfig) -> Self {
        let limits = config.limits;
        Shard {
            limits,
            roles: config.listeners,
            numbering: Numbering::with_prefix(
                id_bits(usize::from(config.shards)),
                u16::from(config.index),
            )
            .unwrap_or(Numbering::ALL),
            random: Random::new(config.seed),
            devices: Vec::new(),
            free: Vec::new(),
            by_endpoint: HashMap::new(),
            by_location: HashMap::new(),
            by_peer: HashMap::new(),
            timers: BTreeSet::new(),
            requests: HashMap::new(),
            uploads: Uploads::new(limits.uploads, limits.payload),
            bootstrap: Bootstrap::new(config.bootstrap),
            gone: VecDeque::new(),
            persists: Persists::default(),
            unreadable: Unreadable::default(),
            next_serial: 1,
            out: VecDeque::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
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
            let mut cx = context!(self, now);
            match stored::read(&mut cx, &key, &record.bytes) {
                Ok(device) => {
                    let registration = Arc::clone(&device.registration);
                    let endpoint = registration.endpoint.clone();
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
        (self.by_endpoint.len(), bad)
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
                if let Some(&index) = self.requests.get(&id) {
                    self.with(now, index, |device, cx| device.withdraw(cx, id));
                }
            }
            Input::Persisted(id, _) => self.persisted(now, id, true),
            Input::PersistFailed(id, _) => self.persisted(now, id, false),
            Input::PeerGone(listener, peer) => {
                let mut cx = context!(self, now);
                self.bootstrap.gone(&mut cx, (listener, peer));
                for index in self
                    .by_peer
                    .get(&(listener, peer))
                    .cloned()
                    .unwrap_or_default()
                {
                    self.with(now, index, |device, cx| {
                        let sent = device.open.as_ref().map_or(0, |open| open.sent());
                        device.complete(cx, Outcome::TimedOut { sent });
                    });
                }
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to carry out.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due, on the monotonic clock (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        let device = self.timers.first().map(|(at, _)| *at);
        match (device, self.bootstrap.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// A device, if it is registered.
    pub fn registration(&self, endpoint: &str) -> Option<Arc<Registration>> {
        let index = *self.by_endpoint.get(endpoint)?;
        let device = self.devices.get(index as usize)?.as_ref()?;
        device.stored.then(|| Arc::clone(&device.registration))
    }

    /// All registered devices, in no order.
    pub fn registrations(&self) -> impl Iterator<Item = Arc<Registration>> {
        let devices = self.devices.iter().flatten();
        devices
            .filter(|d| d.stored)
            .map(|d| Arc::clone(&d.registration))
    }

    fn command(&mut self, now: Now, request: DeviceRequest) {
        if self.requests.contains_key(&request.id) {
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
        let index = self.by_endpoint.get(&endpoint).copied();
        let mut job = Job {
            id: Some(id),
            operation,
            deadline: now.mono.saturating_add(expires.saturating_sub(now.wall)),
            keep,
        };
        let refused = match (index, keep) {
            (None, _) => Some(Outcome::NotRegistered),
            (Some(_), _) if job.deadline <= now.mono => Some(Outcome::Expired),
            (Some(index), Keep::Wanted) => {
                let device = self.devices[index as usize].as_ref();
                let kept = device.map_or(0, |device| device.kept());
                if kept >= self.limits.durable {
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
        match (index, refused) {
            (Some(index), None) => {
                self.requests.insert(id, index);
                self.with(now, index, |device, cx| device.enqueue(cx, job));
            }
            (_, refused) => {
                let mut cx = context!(self, now);
                let outcome = refused.unwrap_or(Outcome::NotRegistered);
                finish(&mut cx, endpoint, &job, outcome);
            }
        }
    }

    /// The record of a durable request is there, or could not be written.
    pub(super) fn request_stored(&mut self, now: Now, id: RequestId, durable: bool) {
        if let Some(&index) = self.requests.get(&id) {
            self.with(now, index, |device, cx| {
                device.request_stored(cx, id, durable);
            });
        }
    }

    fn tick(&mut self, now: Now) {
        let mut cx = context!(self, now);
        self.bootstrap.tick(&mut cx);
        while let Some((at, index)) = self.timers.first().copied() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            let Some(device) = self.devices[index as usize].as_mut() else {
                continue;
            };
            device.timer = None;
            if device.expires <= now.mono {
                self.expire(now, index);
            } else {
                self.settle(now, index);
            }
        }
    }

    fn expire(&mut self, now: Now, index: u32) {
        let Some(mut device) = self.remove(index) else {
            return;
        };
        let mut cx = context!(self, now);
        device.cancel_all(&mut cx, "the registration expired");
        let endpoint = device.endpoint().clone();
        if device.stored {
            cx.event(Event::Deregistered {
                endpoint: endpoint.clone(),
                expired: true,
            });
        }
        let op = Op::Delete(stored::key(&endpoint));
        self.persist(op, Waiting::Background(endpoint));
    }

    pub(super) fn persist(&mut self, op: Op, waiting: Waiting) {
        self.persists.persist(&mut self.out, vec![op], waiting);
    }

    /// Lets a device do something, then everything that follows.
    pub(super) fn with(
        &mut self,
        now: Now,
        index: u32,
        f: impl FnOnce(&mut Device, &mut Context<'_>),
    ) {
        if let Some(device) = self
            .devices
            .get_mut(index as usize)
            .and_then(Option::as_mut)
        {
            let mut cx = context!(self, now);
            f(device, &mut cx);
            self.settle(now, index);
        }
    }

    /// Sends what can be sent, sets the timer, stores what has changed.
    pub(super) fn settle(&mut self, now: Now, index: u32) {
        let Some(device) = self.devices[index as usize].as_mut() else {
            return;
        };
        let mut cx = context!(self, now);
        device.pump(&mut cx);
        let at = device.next_deadline();
        if device.timer != Some(at) {
            if let Some(old) = device.timer.replace(at) {
                self.timers.remove(&(old, index));
            }
            self.timers.insert((at, index));
        }
        if device.dirty && device.stored {
            device.dirty = false;
            device.stored_expires = device.registration.expires;
            let endpoint = device.endpoint().clone();
            match stored::write(device) {
                Ok(op) => self.persist(op, Waiting::Background(endpoint)),
                Err(error) => warn!(%error, %endpoint, "a registration can't be stored"),
            }
        }
    }

    pub(super) fn insert(&mut self, device: Device) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.devices.push(None);
            (self.devices.len() - 1) as u32
        });
        self.by_endpoint.insert(device.endpoint().clone(), index);
        self.by_location.insert(device.location, index);
        self.add_route(device.listener, device.peer, index);
        self.devices[index as usize] = Some(Box::new(device));
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Box<Device>> {
        let device = self.devices[index as usize].take()?;
        self.by_endpoint.remove(device.endpoint());
        self.by_location.remove(&device.location);
        self.remove_route(device.listener, device.peer, index);
        if let Some(at) = device.timer {
            self.timers.remove(&(at, index));
        }
        self.free.push(index);
        Some(device)
    }

    pub(super) fn add_route(&mut self, listener: ListenerId, peer: Peer, index: u32) {
        let list = self.by_peer.entry((listener, peer)).or_default();
        if list.contains(&index) {
            return;
        }
        if list.len() >= self.limits.devices_per_peer {
            list.remove(0);
        }
        list.push(index);
    }

    pub(super) fn remove_route(&mut self, listener: ListenerId, peer: Peer, index: u32) {
        if let Some(list) = self.by_peer.get_mut(&(listener, peer)) {
            list.retain(|i| *i != index);
            if list.is_empty() {
                self.by_peer.remove(&(listener, peer));
            }
        }
    }
}
