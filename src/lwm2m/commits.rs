//! What follows when something is durable, or could not be stored.

use std::sync::Arc;

use tinsmith_coap::{Code, OptionNumber, RequestHandle};
use tracing::warn;

use super::PersistId;
use super::device::Device;
use super::inbound::block_option;
use super::shard::Shard;
use super::shared::{Promise, Waiting};
use super::types::{Event, Now};

impl Shard {
    pub(super) fn persisted(&mut self, now: Now, id: PersistId, durable: bool) {
        match self.shared.persists.waiting.remove(&id) {
            Some(Waiting::Register(promise)) => self.registered(now, promise, durable),
            Some(Waiting::Update(promise)) => self.updated(now, promise, durable),
            Some(Waiting::Deregister(promise)) => self.deregistered(now, promise, durable),
            Some(Waiting::Request(id)) => self.request_stored(now, id, durable),
            Some(Waiting::Completed(end)) if durable => self.shared.at(now).event(end.event()),
            Some(Waiting::Completed(end)) => {
                warn!(endpoint = %end.endpoint, id = end.id.0, "the end of a request can't be stored");
                self.untold.add(now, end);
            }
            Some(Waiting::Context(identity, number)) => {
                self.context_stored(now, &identity, number, durable);
            }
            Some(Waiting::Issued(listener, peer)) => {
                let mut cx = self.shared.at(now);
                self.bootstrap
                    .stored(&mut cx, (listener, peer), id, durable);
            }
            Some(Waiting::Background(endpoint)) if !durable => {
                warn!(%endpoint, "what the store has of the device is old");
            }
            Some(Waiting::Background(_)) | None => {}
        }
    }

    fn registered(&mut self, now: Now, promise: Promise, durable: bool) {
        let Promise {
            location,
            handle,
            block1,
        } = promise;
        // A device that has registered again has another location.
        let Some(index) = self.registry.by_location(location) else {
            return;
        };
        if !durable {
            self.unavailable(now, index, handle);
            if let Some(device) = self.remove(index) {
                self.part(now, device, "the registration could not be stored");
            }
            return;
        }
        self.registry.change(index, Device::stored);
        let Some(device) = self.registry.get(index) else {
            return;
        };
        let registration = Arc::clone(&device.entry().registration);
        let route = device.link().route();
        self.unreadable.replaced(&registration.endpoint);
        self.respond(now, index, handle, Code::CREATED, |b| {
            b.option(OptionNumber::LOCATION_PATH, b"rd")?;
            b.option(
                OptionNumber::LOCATION_PATH,
                registration.location.as_bytes(),
            )?;
            block_option(b, block1)
        });
        let mut cx = self.shared.at(now);
        cx.learned(route);
        cx.event(Event::Registered {
            endpoint: registration.endpoint.clone(),
            registration,
            new: true,
        });
        self.question(now, index);
    }

    fn updated(&mut self, now: Now, promise: Promise, durable: bool) {
        let Some(index) = self.registry.by_location(promise.location) else {
            return;
        };
        let Some(device) = self.registry.get(index) else {
            return;
        };
        if !durable {
            return self.unavailable(now, index, promise.handle);
        }
        let registration = Arc::clone(&device.entry().registration);
        self.respond(now, index, promise.handle, Code::CHANGED, |b| {
            block_option(b, promise.block1)
        });
        self.shared.at(now).event(Event::Updated {
            endpoint: registration.endpoint.clone(),
            registration,
        });
    }

    fn deregistered(&mut self, now: Now, promise: Promise, durable: bool) {
        let Some(index) = self.registry.by_location(promise.location) else {
            return;
        };
        if !durable {
            self.registry.change(index, Device::stay);
            return self.unavailable(now, index, promise.handle);
        }
        self.respond(now, index, promise.handle, Code::DELETED, |_| Ok(()));
        let Some(device) = self.remove(index) else {
            return;
        };
        let endpoint = device.endpoint().clone();
        self.part(now, device, "the device deregistered");
        self.shared.at(now).event(Event::Deregistered {
            endpoint,
            expired: false,
        });
    }

    /// The store failed: the device may come again.
    fn unavailable(&mut self, now: Now, index: u32, handle: RequestHandle) {
        self.respond(now, index, handle, Code::SERVICE_UNAVAILABLE, |b| {
            b.uint(OptionNumber::MAX_AGE, 30)?;
            Ok(())
        });
    }
}
