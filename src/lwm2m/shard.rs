//! One shard: the registry of its devices, and where their datagrams go.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tinsmith_coap::{
    Block, Builder, Code, Message, MessageId, MessageType, Numbering, OptionNumber, RequestHandle,
    Token, stateless,
};
use tracing::warn;

use super::bootstrap::Bootstrap;
use super::config::{Limits, ShardConfig};
use super::device::{Context, Device, Handled};
use super::exchange::Job;
use super::random::Random;
use super::registration::{
    Links, MAX_OTHER, Parameters, RegisterError, check_binding, check_version,
};
use super::route::{ID_BITS, LOCATION_MASK, bucket, location, parse_location};
use super::types::{DeviceRequest, Endpoint, Event, Now, Outcome, Registration, RequestId};
use super::uploads::{Taken, Uploads};
use super::{Identity, Input, ListenerId, Output, Peer, PersistId, Role, stored};
use crate::store::{Batch, Key, Op, Stored};

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

/// LwM2M TS 1.1 §6.2.1: 24 hours.
const DEFAULT_LIFETIME: u32 = 86_400;
/// Answers to a Deregister that can be repeated.
const GONE: usize = 256;
/// Room for one datagram of ours.
const DATAGRAM: usize = 1280;

/// What a commit was for.
enum Waiting {
    Register { index: u32, serial: u64, handle: RequestHandle, block1: Option<Block> },
    Update { index: u32, serial: u64, handle: RequestHandle, block1: Option<Block> },
    Deregister { index: u32, serial: u64, handle: RequestHandle },
    /// Nobody waits.
    Background(Endpoint),
}

/// The LwM2M logic for the devices of one shard; see the [module](super).
pub struct Shard {
    limits: Limits,
    roles: Vec<Role>,
    numbering: Numbering,
    random: Random,
    devices: Vec<Option<Box<Device>>>,
    free: Vec<u32>,
    by_endpoint: HashMap<Endpoint, u32>,
    by_location: HashMap<u64, u32>,
    by_peer: HashMap<(ListenerId, Peer), Vec<u32>>,
    timers: BTreeSet<(u64, u32)>,
    requests: HashMap<RequestId, u32>,
    uploads: Uploads,
    bootstrap: Bootstrap,
    gone: VecDeque<(ListenerId, Peer, MessageId, Token)>,
    waiting: HashMap<PersistId, Waiting>,
    next_persist: u64,
    next_serial: u64,
    out: VecDeque<Output>,
    buffer: Box<[u8]>,
}

macro_rules! context {
    ($self:ident, $now:expr) => {
        Context {
            now: $now,
            out: &mut $self.out,
            requests: &mut $self.requests,
            random: &mut $self.random,
            buffer: &mut $self.buffer,
            limits: &$self.limits,
            numbering: $self.numbering,
        }
    };
}

/// Where a request came from.
#[derive(Clone, Copy)]
struct From<'i> {
    listener: ListenerId,
    peer: Peer,
    identity: &'i Identity,
}

impl Shard {
    /// A shard without devices.
    pub fn new(config: ShardConfig) -> Self {
        let limits = config.limits;
        Shard {
            limits,
            roles: config.listeners,
            numbering: Numbering::with_prefix(ID_BITS, u16::from(config.index & 15))
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
            waiting: HashMap::new(),
            next_persist: 0,
            next_serial: 1,
            out: VecDeque::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    /// Takes the records of its devices, before the first input. Returns how many devices there
    /// are now and how many records could not be read; those are left as they are.
    pub fn restore(
        &mut self,
        now: Now,
        records: impl IntoIterator<Item = (Key, Stored)>,
    ) -> (usize, usize) {
        let mut bad = 0;
        for (key, record) in records {
            let mut cx = context!(self, now);
            match stored::read(&mut cx, &key, &record.bytes) {
                Ok(device) => {
                    let registration = Arc::clone(&device.registration);
                    let endpoint = registration.endpoint.clone();
                    cx.event(Event::Registered { endpoint, registration, new: false });
                    let index = self.insert(device);
                    self.settle(now, index);
                }
                Err(error) => {
                    warn!(%error, id = %String::from_utf8_lossy(&key.id), "unreadable record");
                    bad += 1;
                }
            }
        }
        (self.by_endpoint.len(), bad)
    }

    /// Takes one input. Drain [`Shard::poll`] after it.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Inbound { listener, peer, identity, bytes } => {
                self.inbound(now, From { listener, peer, identity: &identity }, bytes);
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
                for index in self.by_peer.get(&(listener, peer)).cloned().unwrap_or_default() {
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
        devices.filter(|d| d.stored).map(|d| Arc::clone(&d.registration))
    }

    fn command(&mut self, now: Now, request: DeviceRequest) {
        if self.requests.contains_key(&request.id) {
            return;
        }
        let DeviceRequest { id, endpoint, operation, expires } = request;
        let Some(&index) = self.by_endpoint.get(&endpoint) else {
            let outcome = Outcome::NotRegistered;
            self.out.push_back(Output::Event(Event::Completed { endpoint, id, outcome }));
            return;
        };
        let deadline = now.mono.saturating_add(expires.saturating_sub(now.wall));
        self.requests.insert(id, index);
        self.with(now, index, |device, cx| {
            device.enqueue(cx, Job { id: Some(id), operation, deadline });
        });
    }

    fn tick(&mut self, now: Now) {
        let mut cx = context!(self, now);
        self.bootstrap.tick(&mut cx);
        while let Some((at, index)) = self.timers.first().copied() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            let Some(device) = self.devices[index as usize].as_mut() else { continue };
            device.timer = None;
            if device.expires <= now.mono {
                self.expire(now, index);
            } else {
                self.settle(now, index);
            }
        }
    }

    fn expire(&mut self, now: Now, index: u32) {
        let Some(mut device) = self.remove(index) else { return };
        let mut cx = context!(self, now);
        device.cancel_all(&mut cx, "the registration expired");
        let endpoint = device.endpoint().clone();
        if device.stored {
            cx.event(Event::Deregistered { endpoint: endpoint.clone(), expired: true });
        }
        let op = Op::Delete(stored::key(&endpoint));
        self.persist(op, Waiting::Background(endpoint));
    }

    fn persist(&mut self, op: Op, waiting: Waiting) {
        self.next_persist += 1;
        let id = PersistId(self.next_persist);
        self.waiting.insert(id, waiting);
        self.out.push_back(Output::Persist(id, Batch { expect: Vec::new(), ops: vec![op] }));
    }

    /// Lets a device do something, then everything that follows.
    fn with(&mut self, now: Now, index: u32, f: impl FnOnce(&mut Device, &mut Context<'_>)) {
        if let Some(device) = self.devices.get_mut(index as usize).and_then(Option::as_mut) {
            let mut cx = context!(self, now);
            f(device, &mut cx);
            self.settle(now, index);
        }
    }

    /// Sends what can be sent, sets the timer, stores what has changed.
    fn settle(&mut self, now: Now, index: u32) {
        let Some(device) = self.devices[index as usize].as_mut() else { return };
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

    fn insert(&mut self, device: Device) -> u32 {
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

    fn remove(&mut self, index: u32) -> Option<Box<Device>> {
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

    fn add_route(&mut self, listener: ListenerId, peer: Peer, index: u32) {
        let list = self.by_peer.entry((listener, peer)).or_default();
        if list.contains(&index) {
            return;
        }
        if list.len() >= self.limits.devices_per_peer {
            list.remove(0);
        }
        list.push(index);
    }

    fn remove_route(&mut self, listener: ListenerId, peer: Peer, index: u32) {
        if let Some(list) = self.by_peer.get_mut(&(listener, peer)) {
            list.retain(|i| *i != index);
            if list.is_empty() {
                self.by_peer.remove(&(listener, peer));
            }
        }
    }

    fn inbound(&mut self, now: Now, from: From<'_>, bytes: &[u8]) {
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(_) => {
                if let Some(reset) = stateless::refusal(bytes) {
                    self.transmit(from, &reset);
                }
                return;
            }
        };
        if self.roles.get(usize::from(from.listener.0)) == Some(&Role::Bootstrap) {
            let mut cx = context!(self, now);
            self.bootstrap.inbound(&mut cx, from.listener, from.peer, from.identity, message);
        } else if message.code().is_request() {
            self.request(now, from, message);
        } else {
            self.other(now, from, message);
        }
    }

    /// A response, an acknowledgement, a reset or a ping.
    fn other(&mut self, now: Now, from: From<'_>, message: Message<'_>) {
        let candidates = self.by_peer.get(&(from.listener, from.peer));
        let candidates = candidates.map(Vec::as_slice).unwrap_or_default();
        let is_response = message.code().is_response();
        let mut chosen: Option<u32> = None;
        if let [only] = candidates {
            chosen = Some(*only);
        } else if is_response {
            let token = message.token();
            chosen = candidates.iter().copied().find(|index| {
                let device = self.devices[*index as usize].as_ref();
                device.is_some_and(|device| device.owns(token))
            });
        }
        if let Some(index) = chosen {
            self.with(now, index, |device, cx| {
                if device.identity == *from.identity {
                    device.handle(cx, message);
                }
            });
            return;
        }
        if !is_response && message.message_type() != MessageType::Confirmable {
            for index in candidates.to_vec() {
                let mut unknown = false;
                self.with(now, index, |device, cx| {
                    unknown = matches!(device.handle(cx, message), Handled::Unknown);
                });
                if !unknown {
                    return;
                }
            }
            return;
        }
        // A ping, or something that nobody here waits for (RFC 7252 section 4.2, 4.3).
        if matches!(
            message.message_type(),
            MessageType::Confirmable | MessageType::NonConfirmable
        ) {
            self.transmit(from, &stateless::reset(&message));
        }
    }

    fn request(&mut self, now: Now, from: From<'_>, message: Message<'_>) {
        if let Some(number) = message.unrecognised_critical(&CRITICAL) {
            return self.answer(from, &message, Code::BAD_OPTION, &format!("option {}", number.0));
        }
        let mut path = message.uri_path();
        match (path.next(), path.next(), path.next()) {
            (Some(b"rd"), None, _) if message.code() == Code::POST => {
                self.register(now, from, message);
            }
            (Some(b"rd"), Some(segment), None) => {
                let found = parse_location(segment).and_then(|(bucket, random)| {
                    let index = *self.by_location.get(&random)?;
                    let device = self.devices[index as usize].as_ref()?;
                    (device.bucket == bucket).then_some((index, device.identity.clone()))
                });
                match (found, message.code()) {
                    (Some((_, identity)), _) if identity != *from.identity => {
                        self.answer(from, &message, Code::BAD_REQUEST, "another identity");
                    }
                    (Some((index, _)), Code::POST) => self.update(now, from, index, message),
                    (Some((index, _)), Code::DELETE) => {
                        self.deregister(now, from, index, message);
                    }
                    (Some(_), _) => self.answer(from, &message, Code::METHOD_NOT_ALLOWED, ""),
                    (None, Code::DELETE) if self.is_gone(from, &message) => {
                        self.answer(from, &message, Code::DELETED, "");
                    }
                    (None, _) => self.answer(from, &message, Code::NOT_FOUND, ""),
                }
            }
            (Some(b"rd"), None, _) => {
                self.answer(from, &message, Code::METHOD_NOT_ALLOWED, "");
            }
            _ => self.answer(from, &message, Code::NOT_FOUND, ""),
        }
    }

    fn is_gone(&self, from: From<'_>, message: &Message<'_>) -> bool {
        self.gone.contains(&(from.listener, from.peer, message.message_id(), message.token()))
    }

    /// Answers without state.
    fn answer(&mut self, from: From<'_>, message: &Message<'_>, code: Code, text: &str) {
        self.answer_with(from, message, code, |b| b.payload(text.as_bytes()).map(|_| ()));
    }

    fn answer_with(
        &mut self,
        from: From<'_>,
        message: &Message<'_>,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), tinsmith_coap::BuildError>,
    ) {
        let id = self.random.next_u32() as u16;
        if let Ok(len) = stateless::reply(message, id, code, &mut self.buffer, build) {
            let bytes = self.buffer[..len].to_vec();
            self.transmit_vec(from, bytes);
        }
    }

    fn transmit(&mut self, from: From<'_>, bytes: &[u8]) {
        self.transmit_vec(from, bytes.to_vec());
    }

    fn transmit_vec(&mut self, from: From<'_>, bytes: Vec<u8>) {
        self.out.push_back(Output::Transmit { listener: from.listener, peer: from.peer, bytes });
    }

    /// The whole payload of a request, or `None` if it was answered.
    fn payload(
        &mut self,
        now: Now,
        from: From<'_>,
        known: Option<(u32, RequestHandle)>,
        message: &Message<'_>,
    ) -> Option<(Option<Vec<u8>>, Option<Block>)> {
        let at = tinsmith_coap::Instant::from_millis(now.mono);
        match self.uploads.take(at, from.listener, from.peer, message) {
            Taken::Whole(body, block1) => Some((body, block1)),
            Taken::Answer(code, block1, size1) => {
                let build = |b: &mut Builder<'_>| {
                    block_option(b, block1)?;
                    if let Some(size1) = size1 {
                        b.uint(OptionNumber::SIZE1, size1)?;
                    }
                    Ok(())
                };
                match known {
                    Some((index, handle)) => self.respond(now, index, handle, code, build),
                    None => self.answer_with(from, message, code, build),
                }
                None
            }
        }
    }

    /// Passes a request to a device's CoAP state, at its present route.
    fn take_request(
        &mut self,
        now: Now,
        index: u32,
        message: Message<'_>,
    ) -> Option<RequestHandle> {
        let device = self.devices[index as usize].as_mut()?;
        let mut cx = context!(self, now);
        match device.handle(&mut cx, message) {
            Handled::Request(handle) => Some(handle),
            _ => {
                self.settle(now, index);
                None
            }
        }
    }

    fn respond(
        &mut self,
        now: Now,
        index: u32,
        handle: RequestHandle,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), tinsmith_coap::BuildError>,
    ) {
        self.with(now, index, |device, cx| {
            let at = cx.at();
            match device.coap.respond(at, handle, code, cx.buffer, build) {
                Ok(made) => cx.transmit(device.listener, device.peer, made.len),
                Err(error) => warn!(?error, endpoint = %device.endpoint(), "no answer"),
            }
        });
    }

    fn register(&mut self, now: Now, from: From<'_>, message: Message<'_>) {
        // A repeated Register of a device that is here already: its CoAP state has the answer.
        let named = message.uri_query().find_map(|query| query.strip_prefix(b"ep="));
        let known = named
            .and_then(|name| std::str::from_utf8(name).ok())
            .and_then(|name| self.by_endpoint.get(name).copied());
        let here = known.filter(|index| {
            self.devices[*index as usize].as_ref().is_some_and(|device| {
                device.peer == from.peer
                    && device.listener == from.listener
                    && device.identity == *from.identity
            })
        });
        let handle = match here {
            Some(index) => match self.take_request(now, index, message) {
                Some(handle) => Some((index, handle)),
                None => return,
            },
            None => None,
        };
        let Some((body, block1)) = self.payload(now, from, handle, &message) else { return };
        let handle = handle.map(|(_, handle)| handle);
        let payload = body.as_deref().unwrap_or(message.payload());
        let accepted = self.accept(now, from, known, &message, payload);
        match (accepted, here, handle) {
            (Ok(accepted), _, handle) => {
                self.store_registration(now, from, known, handle, message, block1, accepted);
            }
            (Err((code, text)), Some(index), Some(handle)) => {
                self.respond(now, index, handle, code, |b| {
                    b.payload(text.as_bytes()).map(|_| ())
                });
            }
            (Err((code, text)), ..) => self.answer(from, &message, code, &text),
        }
    }

    /// Checks everything; no state yet.
    fn accept(
        &self,
        now: Now,
        from: From<'_>,
        known: Option<u32>,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<(Registration, Links), (Code, String)> {
        let refuse = |e: RegisterError| (e.code(), e.to_string());
        let parameters = Parameters::parse(message.uri_query()).map_err(refuse)?;
        let endpoint = parameters.endpoint.ok_or_else(|| refuse(RegisterError::NoEndpoint))?;
        let version = parameters.version.unwrap_or_else(|| "1.0".into());
        check_version(&version).map_err(refuse)?;
        let binding = parameters.binding.unwrap_or_else(|| "U".into());
        check_binding(&version, &binding).map_err(refuse)?;
        if let Some(format) = message.content_format().filter(|format| *format != 40) {
            return Err(refuse(RegisterError::Format(format)));
        }
        let mut links = Links::parse(payload, self.limits.links).map_err(refuse)?;
        let known = known.and_then(|index| self.devices[index as usize].as_ref());
        match known {
            Some(device)
                if device.identity.is_authenticated() && device.identity != *from.identity =>
            {
                return Err(refuse(RegisterError::Identity));
            }
            None if self.by_endpoint.len() >= self.limits.registrations => {
                return Err((Code::SERVICE_UNAVAILABLE, "too many registrations".into()));
            }
            _ => {}
        }
        let lifetime = parameters.lifetime.unwrap_or(DEFAULT_LIFETIME);
        let registration = Registration {
            endpoint: endpoint.into(),
            location: String::new(),
            lifetime,
            version,
            binding,
            address: from.peer.to_string(),
            objects: std::mem::take(&mut links.objects),
            formats: std::mem::take(&mut links.formats),
            parameters: parameters.other,
            registered: now.wall,
            seen: now.wall,
            expires: now.wall.saturating_add(u64::from(lifetime) * 1000),
        };
        Ok((registration, links))
    }

    #[allow(clippy::too_many_arguments)]
    fn store_registration(
        &mut self,
        now: Now,
        from: From<'_>,
        known: Option<u32>,
        handle: Option<RequestHandle>,
        message: Message<'_>,
        block1: Option<Block>,
        (mut registration, links): (Registration, Links),
    ) {
        let bucket = bucket(&registration.endpoint);
        let random = loop {
            let random = self.random.next_u64() & LOCATION_MASK;
            if !self.by_location.contains_key(&random) {
                break random;
            }
        };
        registration.location = location(bucket, random);
        self.next_serial += 1;
        let serial = self.next_serial;
        let expires = now.mono.saturating_add(u64::from(registration.lifetime) * 1000);
        let stored_expires = registration.expires;
        let index = match known {
            Some(index) => {
                let Some(device) = self.devices[index as usize].as_mut() else { return };
                let old_route = (device.listener, device.peer);
                self.by_location.remove(&device.location);
                let mut cx = context!(self, now);
                device.cancel_all(&mut cx, "the device registered again");
                if handle.is_none() && old_route != (from.listener, from.peer) {
                    device.rebind(&mut cx, from.listener, from.peer);
                }
                device.identity = from.identity.clone();
                device.observations.clear();
                device.refused.clear();
                device.registration = Arc::new(registration);
                device.root = links.root;
                device.location = random;
                device.serial = serial;
                device.expires = expires;
                device.stored_expires = stored_expires;
                device.stored = false;
                device.dirty = false;
                self.by_location.insert(random, index);
                if old_route != (from.listener, from.peer) {
                    self.remove_route(old_route.0, old_route.1, index);
                    self.add_route(from.listener, from.peer, index);
                }
                index
            }
            None => {
                let coap = context!(self, now).coap();
                self.insert(Device {
                    registration: Arc::new(registration),
                    root: links.root,
                    identity: from.identity.clone(),
                    listener: from.listener,
                    peer: from.peer,
                    bucket,
                    location: random,
                    serial,
                    expires,
                    stored_expires,
                    stored: false,
                    coap,
                    queue: VecDeque::new(),
                    open: None,
                    observations: Vec::new(),
                    refused: Vec::new(),
                    dirty: false,
                    timer: None,
                })
            }
        };
        let handle = match handle {
            Some(handle) => Some(handle),
            None => self.take_request(now, index, message),
        };
        let Some(handle) = handle else { return };
        let Some(device) = self.devices[index as usize].as_ref() else { return };
        match stored::write(device) {
            Ok(op) => self.persist(op, Waiting::Register { index, serial, handle, block1 }),
            Err(error) => warn!(%error, "a registration can't be stored"),
        }
        self.settle(now, index);
    }

    fn update(&mut self, now: Now, from: From<'_>, index: u32, message: Message<'_>) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, index, message) else { return };
        let taken = self.payload(now, from, Some((index, handle)), &message);
        let Some((body, block1)) = taken else { return };
        let payload = body.as_deref().unwrap_or(message.payload());
        if let Err(error) = self.apply_update(now, from, index, &message, payload) {
            let text = error.to_string();
            return self.respond(now, index, handle, error.code(), |b| {
                b.payload(text.as_bytes()).map(|_| ())
            });
        }
        let Some(device) = self.devices[index as usize].as_mut() else { return };
        let endpoint = device.endpoint().clone();
        let registration = Arc::clone(&device.registration);
        let serial = device.serial;
        if std::mem::take(&mut device.dirty) {
            device.stored_expires = registration.expires;
            match stored::write(device) {
                Ok(op) => self.persist(op, Waiting::Update { index, serial, handle, block1 }),
                Err(error) => warn!(%error, "a registration can't be stored"),
            }
            self.settle(now, index);
            return;
        }
        // A sign of life: answered at once; stored when a tenth of the lifetime has gone.
        let moved = registration.expires.saturating_sub(device.stored_expires);
        if moved >= u64::from(registration.lifetime) * 100 {
            device.stored_expires = registration.expires;
            match stored::write(device) {
                Ok(op) => self.persist(op, Waiting::Background(endpoint.clone())),
                Err(error) => warn!(%error, "a registration can't be stored"),
            }
        }
        self.respond(now, index, handle, Code::CHANGED, |b| block_option(b, block1));
        self.out.push_back(Output::Event(Event::Updated { endpoint, registration }));
    }

    /// Changes the registration; `dirty` tells whether more than its times has changed.
    fn apply_update(
        &mut self,
        now: Now,
        from: From<'_>,
        index: u32,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<(), RegisterError> {
        let max_links = self.limits.links;
        let Some(device) = self.devices[index as usize].as_mut() else { return Ok(()) };
        let parameters = Parameters::parse(message.uri_query())?;
        let mut new = (*device.registration).clone();
        let mut changed = device.dirty;
        if let Some(lifetime) = parameters.lifetime {
            changed |= lifetime != new.lifetime;
            new.lifetime = lifetime;
        }
        if let Some(binding) = parameters.binding {
            check_binding(&new.version, &binding)?;
            changed |= binding != new.binding;
            new.binding = binding;
        }
        for parameter in parameters.other {
            if new.parameters.contains(&parameter) {
                continue;
            }
            changed = true;
            new.parameters.retain(|(name, _)| *name != parameter.0);
            if new.parameters.len() >= MAX_OTHER {
                return Err(RegisterError::TooMany("parameters"));
            }
            new.parameters.push(parameter);
        }
        if !payload.is_empty() {
            if let Some(format) = message.content_format().filter(|format| *format != 40) {
                return Err(RegisterError::Format(format));
            }
            let links = Links::parse(payload, max_links)?;
            changed |= links.objects != new.objects;
            new.objects = links.objects;
            if !links.formats.is_empty() {
                new.formats = links.formats;
            }
            if !links.root.is_empty() {
                device.root = links.root;
            }
        }
        let address = from.peer.to_string();
        changed |= address != new.address;
        new.address = address;
        new.seen = now.wall;
        new.expires = now.wall.saturating_add(u64::from(new.lifetime) * 1000);
        device.expires = now.mono.saturating_add(u64::from(new.lifetime) * 1000);
        device.registration = Arc::new(new);
        device.dirty = changed;
        Ok(())
    }

    fn rebind(&mut self, now: Now, from: From<'_>, index: u32) {
        let Some(device) = self.devices[index as usize].as_mut() else { return };
        let old = (device.listener, device.peer);
        if old == (from.listener, from.peer) {
            return;
        }
        let mut cx = context!(self, now);
        device.rebind(&mut cx, from.listener, from.peer);
        self.remove_route(old.0, old.1, index);
        self.add_route(from.listener, from.peer, index);
    }

    fn deregister(&mut self, now: Now, from: From<'_>, index: u32, message: Message<'_>) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, index, message) else { return };
        if self.gone.len() >= GONE {
            self.gone.pop_front();
        }
        let id = (from.listener, from.peer, message.message_id(), message.token());
        self.gone.push_back(id);
        let Some(device) = self.devices[index as usize].as_mut() else { return };
        let serial = device.serial;
        let op = Op::Delete(stored::key(device.endpoint()));
        device.dirty = false;
        let mut cx = context!(self, now);
        device.cancel_all(&mut cx, "the device deregistered");
        self.persist(op, Waiting::Deregister { index, serial, handle });
        self.settle(now, index);
    }

    fn persisted(&mut self, now: Now, id: PersistId, durable: bool) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        let (index, serial) = match &waiting {
            Waiting::Register { index, serial, .. }
            | Waiting::Update { index, serial, .. }
            | Waiting::Deregister { index, serial, .. } => (*index, *serial),
            Waiting::Background(endpoint) => {
                if !durable {
                    warn!(%endpoint, "what the store has of the device is old");
                }
                return;
            }
        };
        let Some(device) = self.devices.get_mut(index as usize).and_then(Option::as_mut) else {
            return;
        };
        if device.serial != serial {
            return;
        }
        let endpoint = device.endpoint().clone();
        let registration = Arc::clone(&device.registration);
        match waiting {
            Waiting::Register { handle, block1, .. } if durable => {
                device.stored = true;
                self.respond(now, index, handle, Code::CREATED, |b| {
                    b.option(OptionNumber::LOCATION_PATH, b"rd")?;
                    b.option(OptionNumber::LOCATION_PATH, registration.location.as_bytes())?;
                    block_option(b, block1)
                });
                let event =
                    Event::Registered { endpoint, registration: Arc::clone(&registration), new: true };
                self.out.push_back(Output::Event(event));
            }
            Waiting::Update { handle, block1, .. } if durable => {
                self.respond(now, index, handle, Code::CHANGED, |b| block_option(b, block1));
                self.out.push_back(Output::Event(Event::Updated { endpoint, registration }));
            }
            Waiting::Deregister { handle, .. } if durable => {
                self.respond(now, index, handle, Code::DELETED, |_| Ok(()));
                if let Some(mut device) = self.remove(index) {
                    let mut cx = context!(self, now);
                    device.cancel_all(&mut cx, "the device deregistered");
                }
                self.out
                    .push_back(Output::Event(Event::Deregistered { endpoint, expired: false }));
            }
            Waiting::Register { handle, .. } => {
                self.unavailable(now, index, handle);
                if let Some(mut device) = self.remove(index) {
                    let mut cx = context!(self, now);
                    device.cancel_all(&mut cx, "the registration could not be stored");
                }
            }
            Waiting::Update { handle, .. } | Waiting::Deregister { handle, .. } => {
                self.unavailable(now, index, handle);
            }
            Waiting::Background(_) => {}
        }
    }

    /// The store failed: the device may come again.
    fn unavailable(&mut self, now: Now, index: u32, handle: RequestHandle) {
        self.respond(now, index, handle, Code::SERVICE_UNAVAILABLE, |b| {
            b.uint(OptionNumber::MAX_AGE, 30)?;
            Ok(())
        });
    }
}

fn block_option(
    b: &mut Builder<'_>,
    block1: Option<Block>,
) -> Result<(), tinsmith_coap::BuildError> {
    if let Some(block1) = block1 {
        b.block(OptionNumber::BLOCK1, block1)?;
    }
    Ok(())
}
