//! Register, Update, Deregister (LwM2M TS 1.1 §6.2), and what their commits lead to.

use std::collections::VecDeque;
use std::sync::Arc;

use tinsmith_coap::{Block, Code, Message, OptionNumber, RequestHandle};
use tracing::warn;

use super::device::{Device, Stage};
use super::inbound::block_option;
use super::registration::{
    Links, MAX_OTHER, Parameters, RegisterError, check_binding, check_version,
};
use super::route::{LOCATION_MASK, bucket, location};
use super::shard::Shard;
use super::shared::{Source, Waiting};
use super::types::{Event, Now, Registration};
use super::{Output, PersistId, stored};
use tinsmith_store::Op;

/// LwM2M TS 1.1 §6.2.1: 24 hours.
const DEFAULT_LIFETIME: u32 = 86_400;
/// Answers to a Deregister that can be repeated.
const GONE: usize = 256;

impl Shard {
    pub(super) fn register(&mut self, now: Now, from: Source<'_>, message: Message<'_>) {
        // A repeated Register of a device that is here already: its CoAP state has the answer.
        let named = message
            .uri_query()
            .find_map(|query| query.strip_prefix(b"ep="));
        let known = named
            .and_then(|name| std::str::from_utf8(name).ok())
            .and_then(|name| self.registry.by_endpoint(name));
        let here = known.filter(|index| {
            self.registry.get(*index).is_some_and(|device| {
                device.peer == from.peer
                    && device.listener == from.listener
                    && device.identity == *from.identity
            })
        });
        let register_id = (message.message_id(), message.token());
        if let Some(device) = here.and_then(|index| self.registry.get_mut(index))
            && let Some((id, token)) = device.register_id
            && id == register_id.0
            && token != register_id.1
        {
            // A device that counts from the same number after each reboot: no repetition.
            let mut cx = self.shared.at(now);
            device.rebind(&mut cx, from.listener, from.peer);
        }
        let handle = match here {
            Some(index) => match self.take_request(now, index, message) {
                Some(handle) => Some((index, handle)),
                None => return,
            },
            None => None,
        };
        let Some((body, block1)) = self.payload(now, from, handle, &message) else {
            return;
        };
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
        from: Source<'_>,
        known: Option<u32>,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<(Registration, Links), (Code, String)> {
        let refuse = |e: RegisterError| (e.code(), e.to_string());
        let parameters = Parameters::parse(message.uri_query()).map_err(refuse)?;
        let endpoint = parameters
            .endpoint
            .ok_or_else(|| refuse(RegisterError::NoEndpoint))?;
        let version = parameters.version.unwrap_or_else(|| "1.0".into());
        check_version(&version).map_err(refuse)?;
        let binding = parameters.binding.unwrap_or_else(|| "U".into());
        check_binding(&version, &binding).map_err(refuse)?;
        if let Some(format) = message.content_format().filter(|format| *format != 40) {
            return Err(refuse(RegisterError::Format(format)));
        }
        let mut links = Links::parse(payload, self.shared.limits.links).map_err(refuse)?;
        let known = known.and_then(|index| self.registry.get(index));
        match known {
            Some(device)
                if device.identity.is_authenticated() && device.identity != *from.identity =>
            {
                return Err(refuse(RegisterError::Identity));
            }
            None if self.registry.len() >= self.shared.limits.registrations => {
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
        from: Source<'_>,
        known: Option<u32>,
        handle: Option<RequestHandle>,
        message: Message<'_>,
        block1: Option<Block>,
        (mut registration, links): (Registration, Links),
    ) {
        let register_id = (message.message_id(), message.token());
        let bucket = bucket(&registration.endpoint);
        let random = loop {
            let random = self.shared.random.next_u64() & LOCATION_MASK;
            if self.registry.by_location(random).is_none() {
                break random;
            }
        };
        registration.location = location(bucket, random);
        self.next_serial += 1;
        let serial = self.next_serial;
        let expires = now
            .mono
            .saturating_add(u64::from(registration.lifetime) * 1000);
        let stored_expires = registration.expires;
        let index = match known {
            Some(index) => {
                let Some(device) = self.registry.get_mut(index) else {
                    return;
                };
                let old_route = (device.listener, device.peer);
                let old_location = device.location;
                let mut cx = self.shared.at(now);
                device.end_requests(&mut cx, "the device registered again");
                if handle.is_none() && old_route != (from.listener, from.peer) {
                    device.rebind(&mut cx, from.listener, from.peer);
                }
                device.identity = from.identity.clone();
                device.silent = false;
                device.observations.clear();
                device.refused.clear();
                device.models = self.shared.models.models(&registration);
                device.registration = Arc::new(registration);
                device.root = links.root;
                device.location = random;
                device.serial = serial;
                device.register_id = Some(register_id);
                device.expires = expires;
                device.stored_expires = stored_expires;
                device.stage = Stage::Entering;
                device.dirty = false;
                self.registry.relocate(old_location, random, index);
                self.registry
                    .reroute(old_route, (from.listener, from.peer), index);
                index
            }
            None => {
                let coap = self.shared.at(now).coap();
                self.insert(Device {
                    models: self.shared.models.models(&registration),
                    registration: Arc::new(registration),
                    root: links.root,
                    identity: from.identity.clone(),
                    listener: from.listener,
                    peer: from.peer,
                    bucket,
                    location: random,
                    serial,
                    register_id: Some(register_id),
                    expires,
                    stored_expires,
                    stage: Stage::Entering,
                    coap,
                    queue: VecDeque::new(),
                    open: None,
                    silent: false,
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
        let Some(device) = self.registry.get(index) else {
            return;
        };
        match stored::write(device) {
            Ok(op) => {
                let mut ops = vec![op];
                ops.extend(self.unreadable.set_aside(device.endpoint()));
                let waiting = Waiting::Register {
                    index,
                    serial,
                    handle,
                    block1,
                };
                self.shared
                    .persists
                    .persist(&mut self.shared.out, ops, waiting);
            }
            Err(error) => warn!(%error, "a registration can't be stored"),
        }
        self.settle(now, index);
    }

    pub(super) fn update(&mut self, now: Now, from: Source<'_>, index: u32, message: Message<'_>) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, index, message) else {
            return;
        };
        let taken = self.payload(now, from, Some((index, handle)), &message);
        let Some((body, block1)) = taken else { return };
        let payload = body.as_deref().unwrap_or(message.payload());
        if let Err(error) = self.apply_update(now, from, index, &message, payload) {
            let text = error.to_string();
            return self.respond(now, index, handle, error.code(), |b| {
                b.payload(text.as_bytes()).map(|_| ())
            });
        }
        let Some(device) = self.registry.get_mut(index) else {
            return;
        };
        let endpoint = device.endpoint().clone();
        let registration = Arc::clone(&device.registration);
        let serial = device.serial;
        if std::mem::take(&mut device.dirty) {
            device.stored_expires = registration.expires;
            match stored::write(device) {
                Ok(op) => self.persist(
                    op,
                    Waiting::Update {
                        index,
                        serial,
                        handle,
                        block1,
                    },
                ),
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
        self.respond(now, index, handle, Code::CHANGED, |b| {
            block_option(b, block1)
        });
        self.shared.out.push_back(Output::Event(Event::Updated {
            endpoint,
            registration,
        }));
    }

    /// Changes the registration; `dirty` tells whether more than its times has changed.
    fn apply_update(
        &mut self,
        now: Now,
        from: Source<'_>,
        index: u32,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<(), RegisterError> {
        let max_links = self.shared.limits.links;
        let Some(device) = self.registry.get_mut(index) else {
            return Ok(());
        };
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
        if device.registration.objects != new.objects {
            device.models = self.shared.models.models(&new);
        }
        device.registration = Arc::new(new);
        device.dirty = changed;
        Ok(())
    }

    fn rebind(&mut self, now: Now, from: Source<'_>, index: u32) {
        let Some(device) = self.registry.get_mut(index) else {
            return;
        };
        let old = (device.listener, device.peer);
        if old == (from.listener, from.peer) {
            return;
        }
        let mut cx = self.shared.at(now);
        device.rebind(&mut cx, from.listener, from.peer);
        self.registry
            .reroute(old, (from.listener, from.peer), index);
        self.shared
            .out
            .push_back(Output::Learned(from.listener, from.peer));
    }

    pub(super) fn deregister(
        &mut self,
        now: Now,
        from: Source<'_>,
        index: u32,
        message: Message<'_>,
    ) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, index, message) else {
            return;
        };
        if self.gone.len() >= GONE {
            self.gone.pop_front();
        }
        let id = (
            from.listener,
            from.peer,
            message.message_id(),
            message.token(),
        );
        self.gone.push_back(id);
        let Some(device) = self.registry.get_mut(index) else {
            return;
        };
        let serial = device.serial;
        let op = Op::Delete(stored::key(device.endpoint()));
        device.dirty = false;
        let mut cx = self.shared.at(now);
        device.end_requests(&mut cx, "the device deregistered");
        device.stage = Stage::Leaving;
        self.persist(
            op,
            Waiting::Deregister {
                index,
                serial,
                handle,
            },
        );
        self.settle(now, index);
    }

    pub(super) fn persisted(&mut self, now: Now, id: PersistId, durable: bool) {
        let Some(waiting) = self.shared.persists.waiting.remove(&id) else {
            return;
        };
        let (index, serial) = match &waiting {
            Waiting::Register { index, serial, .. }
            | Waiting::Update { index, serial, .. }
            | Waiting::Deregister { index, serial, .. } => (*index, *serial),
            Waiting::Request(id) => return self.request_stored(now, *id, durable),
            Waiting::Completed(event) => {
                if !durable {
                    warn!(?event, "the request may be sent again after a restart");
                }
                let event = Output::Event(event.clone());
                return self.shared.out.push_back(event);
            }
            Waiting::Background(endpoint) => {
                if !durable {
                    warn!(%endpoint, "what the store has of the device is old");
                }
                return;
            }
        };
        let Some(device) = self.registry.get_mut(index) else {
            return;
        };
        if device.serial != serial {
            return;
        }
        let endpoint = device.endpoint().clone();
        let registration = Arc::clone(&device.registration);
        match waiting {
            Waiting::Register { handle, block1, .. } if durable => {
                device.stage = Stage::Here;
                self.unreadable.replaced(&endpoint);
                self.respond(now, index, handle, Code::CREATED, |b| {
                    b.option(OptionNumber::LOCATION_PATH, b"rd")?;
                    b.option(
                        OptionNumber::LOCATION_PATH,
                        registration.location.as_bytes(),
                    )?;
                    block_option(b, block1)
                });
                if let Some(device) = self.registry.get(index) {
                    let (listener, peer) = device.route();
                    self.shared.out.push_back(Output::Learned(listener, peer));
                }
                let event = Event::Registered {
                    endpoint,
                    registration: Arc::clone(&registration),
                    new: true,
                };
                self.shared.out.push_back(Output::Event(event));
            }
            Waiting::Update { handle, block1, .. } if durable => {
                self.respond(now, index, handle, Code::CHANGED, |b| {
                    block_option(b, block1)
                });
                self.shared.out.push_back(Output::Event(Event::Updated {
                    endpoint,
                    registration,
                }));
            }
            Waiting::Deregister { handle, .. } if durable => {
                self.respond(now, index, handle, Code::DELETED, |_| Ok(()));
                if let Some(mut device) = self.registry.remove(index) {
                    self.part(now, &mut device, "the device deregistered");
                }
                self.shared
                    .out
                    .push_back(Output::Event(Event::Deregistered {
                        endpoint,
                        expired: false,
                    }));
            }
            Waiting::Register { handle, .. } => {
                self.unavailable(now, index, handle);
                if let Some(mut device) = self.registry.remove(index) {
                    self.part(now, &mut device, "the registration could not be stored");
                }
            }
            Waiting::Update { handle, .. } => self.unavailable(now, index, handle),
            Waiting::Deregister { handle, .. } => {
                device.stage = Stage::Here;
                self.unavailable(now, index, handle);
            }
            Waiting::Request(_) | Waiting::Completed(_) | Waiting::Background(_) => {}
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
