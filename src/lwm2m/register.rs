//! Register (LwM2M TS 1.1 §6.2.1).

use std::sync::Arc;

use tinsmith_coap::{Block, Code, Message, RequestHandle};

use super::access;
use super::device::{Contact, Device};
use super::entry::Entry;
use super::link::Link;
use super::observation::Observations;
use super::peer::Role;
use super::registration::{Links, Parameters, RegisterError, check_binding, life, release};
use super::route::{LOCATION_MASK, bucket, location};
use super::shard::Shard;
use super::shared::{Promise, Source, Waiting};
use super::stored;
use super::types::{Announced, Event, Now, Registration};

/// LwM2M TS 1.1 §6.2.1: 24 hours.
const DEFAULT_LIFETIME: u32 = 86_400;

/// A Register and what is known of its sender.
#[derive(Clone, Copy)]
struct Register<'m> {
    from: Source<'m>,
    message: Message<'m>,
    /// The device of that name.
    known: Option<u32>,
    /// If its CoAP state has taken the message already.
    handle: Option<RequestHandle>,
    block1: Option<Block>,
}

impl Shard {
    pub(super) fn register(&mut self, now: Now, from: Source<'_>, message: Message<'_>) {
        // A repeated Register of a device that is here already: its CoAP state has the answer.
        let access = self.access.as_deref();
        let name = access::name(access, from.identity, Role::Management, &message);
        let name = name.as_deref();
        let known = name.and_then(|name| self.registry.by_endpoint(name));
        let here = known.filter(|index| {
            let device = self.registry.get(*index);
            device.is_some_and(|device| device.link().is_from(from))
        });
        let register_id = (message.message_id(), message.token());
        if let Some(device) = here.and_then(|index| self.registry.get_mut(index))
            && let Some((id, token)) = device.entry().register_id
            && id == register_id.0
            && token != register_id.1
        {
            // A device that counts from the same number after each reboot: no repetition.
            let mut cx = self.shared.at(now);
            device.rebind(&mut cx, from.listener, from.peer);
        }
        let handle = match here {
            Some(index) => match self.take_request(now, from, index, message) {
                Some(handle) => Some((index, handle)),
                None => return,
            },
            None => None,
        };
        let Some((body, block1)) = self.payload(now, from, handle, &message) else {
            return;
        };
        let payload = body.as_deref().unwrap_or(message.payload());
        match (
            self.accept(now, from, (name, known), &message, payload),
            handle,
        ) {
            (Ok(registration), handle) => {
                if known.is_none() {
                    self.make_room(now);
                }
                let register = Register {
                    from,
                    message,
                    known,
                    handle: handle.map(|(_, handle)| handle),
                    block1,
                };
                self.enter(now, register, registration);
            }
            (Err((code, text)), Some((index, handle))) => {
                self.respond(now, index, handle, code, |b| {
                    b.payload(text.as_bytes()).map(|_| ())
                });
            }
            (Err((code, text)), None) => self.answer(from, &message, code, &text),
        }
    }

    /// Checks everything; no state of the device yet. `known` is the device of the name.
    fn accept(
        &mut self,
        now: Now,
        from: Source<'_>,
        (name, known): (Option<&str>, Option<u32>),
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<Registration, (Code, String)> {
        let refuse = |e: RegisterError| (e.code(), e.to_string());
        let parameters = Parameters::parse(message.uri_query()).map_err(refuse)?;
        let endpoint = name.ok_or_else(|| refuse(RegisterError::NoEndpoint))?;
        if !self.may_be(endpoint, from.identity) {
            self.shared.at(now).event(Event::Impostor {
                endpoint: endpoint.into(),
                identity: from.identity.clone(),
                peer: from.peer,
                role: Role::Management,
            });
            return Err(refuse(RegisterError::Identity));
        }
        let announced = self.announced(&parameters, message, payload);
        let announced = announced.map_err(refuse)?;
        let known = known.and_then(|index| self.registry.get(index));
        match known {
            Some(device)
                if self.access.is_none()
                    && device.link().identity.is_authenticated()
                    && device.link().identity != *from.identity =>
            {
                return Err(refuse(RegisterError::Identity));
            }
            None if self.is_full() => {
                return Err((Code::SERVICE_UNAVAILABLE, "too many registrations".into()));
            }
            _ => {}
        }
        let lifetime = parameters.lifetime.unwrap_or(DEFAULT_LIFETIME);
        let registration = Registration {
            endpoint: endpoint.into(),
            location: String::new(),
            lifetime,
            address: from.peer.to_string(),
            announced,
            registered: now.wall,
            seen: now.wall,
            expires: now.wall.saturating_add(life(lifetime)),
        };
        Ok(registration)
    }

    /// What the device says of itself. Devices of a kind say it in the same words, which are read
    /// once.
    fn announced(
        &mut self,
        parameters: &Parameters<'_>,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<Arc<Announced>, RegisterError> {
        let format = message.content_format().filter(|format| *format != 40);
        let kinds = &mut self.shared.kinds;
        if let Some(known) = kinds.said(message.uri_query(), payload)
            && format.is_none()
        {
            return Ok(known);
        }
        let version = release(parameters.version.unwrap_or("1.0"))?;
        let binding = parameters.binding.unwrap_or("U");
        check_binding(version, binding)?;
        if let Some(format) = format {
            return Err(RegisterError::Format(format));
        }
        let links = Links::parse(payload, self.shared.limits.links)?;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(kinds.remember(Announced {
            version: version.to_owned(),
            binding: binding.to_owned(),
            root: links.root,
            objects: links.objects,
            formats: links.formats,
            parameters: parameters.other.iter().map(owned).collect(),
        }))
    }

    /// The device enters, anew or again: it is answered when its record is durable.
    fn enter(&mut self, now: Now, register: Register<'_>, mut registration: Registration) {
        let Register {
            from,
            message,
            known,
            handle,
            block1,
        } = register;
        let bucket = bucket(&registration.endpoint);
        let place = loop {
            let place = self.shared.random.next_u64() & LOCATION_MASK;
            if self.registry.by_location(place).is_none() {
                break place;
            }
        };
        registration.location = location(bucket, place);
        let lifetime = life(registration.lifetime);
        let entry = Entry {
            models: self.shared.models.models(&registration),
            registration: Arc::new(registration),
            bucket,
            location: place,
            register_id: Some((message.message_id(), message.token())),
            expires: now.mono.saturating_add(lifetime),
        };
        let index = match known {
            Some(index) => {
                let mut cx = self.shared.at(now);
                self.registry
                    .change(index, |device| device.enter(&mut cx, entry, from));
                self.count(now, index);
                index
            }
            None => {
                let link = Link::new(&mut self.shared.at(now), from);
                self.insert(now, Device::Entering(Contact::new(entry, link)))
            }
        };
        let handle = handle.or_else(|| self.take_request(now, from, index, message));
        let Some(handle) = handle else { return };
        let Some(device) = self.registry.get(index) else {
            return;
        };
        let record = stored::write(device.entry(), device.link(), &Observations::default());
        if let Some(op) = record {
            let mut ops = vec![op];
            ops.extend(self.unreadable.set_aside(device.endpoint()));
            if let Some(access) = &self.access {
                ops.extend(access.registers(from.identity, device.endpoint()));
            }
            let promise = Promise {
                location: place,
                handle,
                block1,
            };
            let mut cx = self.shared.at(now);
            cx.persist(ops, Waiting::Register(promise));
        }
        self.settle(now, index);
    }
}
