//! Update and Deregister (LwM2M TS 1.1 §6.2.2, §6.2.3).

use std::sync::Arc;

use tinsmith_coap::{Code, Message};

use super::device::{Device, Session};
use super::inbound::block_option;
use super::kinds::Kinds;
use super::models::ModelSource;
use super::registration::{Links, MAX_OTHER, Parameters, RegisterError, check_binding, life};
use super::shard::Shard;
use super::shared::{Promise, Source, Waiting};
use super::stored;
use super::types::{Event, Now};
use tinsmith_store::Op;

impl Shard {
    pub(super) fn update(&mut self, now: Now, from: Source<'_>, index: u32, message: Message<'_>) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, from, index, message) else {
            return;
        };
        let taken = self.payload(now, from, Some((index, handle)), &message);
        let Some((body, block1)) = taken else { return };
        let payload = body.as_deref().unwrap_or(message.payload());
        let Some(Device::Here(session)) = self.registry.get_mut(index) else {
            // Its registration is being removed.
            return self.respond(now, index, handle, Code::NOT_FOUND, |_| Ok(()));
        };
        let mut change = Change {
            now,
            from,
            max_links: self.shared.limits.links,
            models: &self.shared.models,
            kinds: &mut self.shared.kinds,
        };
        if let Err(error) = change.apply(session, &message, payload) {
            let text = error.to_string();
            return self.respond(now, index, handle, error.code(), |b| {
                b.payload(text.as_bytes()).map(|_| ())
            });
        }
        let entry = &session.contact.entry;
        let registration = Arc::clone(&entry.registration);
        let promise = Promise {
            location: entry.location,
            handle,
            block1,
        };
        let mut cx = self.shared.at(now);
        if session.is_dirty() {
            if let Some(op) = session.record() {
                cx.persist(vec![op], Waiting::Update(promise));
            }
            return self.settle(now, index);
        }
        // A sign of life: answered at once; stored when a tenth of the lifetime has gone.
        let endpoint = registration.endpoint.clone();
        if session.unstored() >= life(registration.lifetime) / 10
            && let Some(op) = session.record()
        {
            cx.persist(vec![op], Waiting::Background(endpoint.clone()));
        }
        self.respond(now, index, handle, Code::CHANGED, |b| {
            block_option(b, block1)
        });
        self.shared.at(now).event(Event::Updated {
            endpoint,
            registration,
        });
    }

    fn rebind(&mut self, now: Now, from: Source<'_>, index: u32) {
        let route = (from.listener, from.peer);
        let device = self.registry.get(index);
        if device.is_none_or(|device| device.link().route() == route) {
            return;
        }
        let mut cx = self.shared.at(now);
        self.registry.change(index, |mut device| {
            device.rebind(&mut cx, from.listener, from.peer);
            device
        });
        cx.learned(route);
        self.count(now, index);
    }

    pub(super) fn deregister(
        &mut self,
        now: Now,
        from: Source<'_>,
        index: u32,
        message: Message<'_>,
    ) {
        self.rebind(now, from, index);
        let Some(handle) = self.take_request(now, from, index, message) else {
            return;
        };
        self.gone.add(from, &message);
        let mut cx = self.shared.at(now);
        self.registry.change(index, |device| device.leave(&mut cx));
        let Some(device) = self.registry.get(index) else {
            return;
        };
        let promise = Promise {
            location: device.entry().location,
            handle,
            block1: None,
        };
        let op = Op::Delete(stored::key(device.endpoint()));
        cx.persist(vec![op], Waiting::Deregister(promise));
        self.settle(now, index);
    }
}

/// An Update, and what it is checked by.
struct Change<'s> {
    now: Now,
    from: Source<'s>,
    max_links: usize,
    models: &'s ModelSource,
    kinds: &'s mut Kinds,
}

impl Change<'_> {
    /// Changes the registration; the session is dirty if more than its times has changed.
    fn apply(
        &mut self,
        session: &mut Session,
        message: &Message<'_>,
        payload: &[u8],
    ) -> Result<(), RegisterError> {
        let entry = &mut session.contact.entry;
        let parameters = Parameters::parse(message.uri_query())?;
        let mut new = (*entry.registration).clone();
        let mut changed = false;
        if let Some(lifetime) = parameters.lifetime {
            changed |= lifetime != new.lifetime;
            new.lifetime = lifetime;
        }
        if let Some(binding) = parameters.binding {
            check_binding(&new.announced.version, binding)?;
            if binding != new.announced.binding {
                Arc::make_mut(&mut new.announced).binding = binding.to_owned();
            }
        }
        for (name, value) in parameters.other {
            let known = &new.announced.parameters;
            if known.iter().any(|(n, v)| n == name && v == value) {
                continue;
            }
            let all = &mut Arc::make_mut(&mut new.announced).parameters;
            all.retain(|(known, _)| known != name);
            if all.len() >= MAX_OTHER {
                return Err(RegisterError::TooMany("parameters"));
            }
            all.push((name.to_owned(), value.to_owned()));
        }
        if !payload.is_empty() {
            if let Some(format) = message.content_format().filter(|format| *format != 40) {
                return Err(RegisterError::Format(format));
            }
            let links = Links::parse(payload, self.max_links)?;
            let announced = Arc::make_mut(&mut new.announced);
            announced.objects = links.objects;
            if !links.formats.is_empty() {
                announced.formats = links.formats;
            }
            if !links.root.is_empty() {
                announced.root = links.root;
            }
        }
        let address = self.from.peer.to_string();
        changed |= address != new.address;
        new.address = address;
        let lifetime = life(new.lifetime);
        new.seen = self.now.wall;
        new.expires = self.now.wall.saturating_add(lifetime);
        entry.expires = self.now.mono.saturating_add(lifetime);
        let before = &entry.registration.announced;
        if *before != new.announced {
            changed = true;
            new.announced = self.kinds.share(new.announced);
        }
        if before.objects != new.announced.objects {
            entry.models = self.models.models(&new);
        }
        entry.registration = Arc::new(new);
        if changed {
            session.touch();
        }
        Ok(())
    }
}
