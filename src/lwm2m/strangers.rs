//! Devices at addresses that are not proven: few, and asked whether they are there before they are
//! too many.

use super::device::Device;
use super::shard::Shard;
use super::shared::Waiting;
use super::stored;
use super::types::{Endpoint, Event, Now};
use tinsmith_store::Op;

impl Shard {
    /// Takes a device in.
    pub(super) fn insert(&mut self, now: Now, mut device: Device) -> u32 {
        device.contact_mut().queue = self.waited(&device.endpoint().clone());
        let index = self.registry.insert(device);
        self.count(now, index);
        index
    }

    /// Takes a device out.
    pub(super) fn remove(&mut self, index: u32) -> Option<Device> {
        self.strangers.leave(&index);
        self.registry.remove(index)
    }

    /// A device has come to where it is.
    pub(super) fn count(&mut self, now: Now, index: u32) {
        self.strangers.leave(&index);
        let Some(link) = self.registry.get(index).map(Device::link) else {
            return;
        };
        if link.proof.is_proven() {
            return;
        }
        if let Some(other) = self.strangers.enter(&index, link.peer.address) {
            self.end(now, other, "it made room for others");
        }
    }

    /// True if there is no room, and none can be made.
    pub(super) fn is_full(&self) -> bool {
        let full = self.registry.len() >= self.shared.limits.registrations;
        full && self.strangers.oldest().is_none()
    }

    /// Makes room for one more: who never proved anything goes first.
    pub(super) fn make_room(&mut self, now: Now) {
        if self.registry.len() >= self.shared.limits.registrations
            && let Some(oldest) = self.strangers.oldest().copied()
        {
            self.end(now, oldest, "it made room for others");
        }
    }

    /// Strangers are many: a new one, and those that were idle longest, are asked whether they are
    /// there.
    pub(super) fn question(&mut self, now: Now, index: u32) {
        let Some(link) = self.registry.get(index).map(Device::link) else {
            return;
        };
        let idle: Vec<u32> = self.strangers.pressed(link.peer.address).collect();
        if idle.is_empty() {
            return;
        }
        for index in idle.into_iter().chain([index]) {
            let device = self.registry.get_mut(index);
            if device.is_some_and(Device::ask_for_proof) {
                // It has as much time for its answer as others have.
                self.strangers.touch(&index);
                self.settle(now, index);
            }
        }
    }

    /// Ends a registration that the device does not end.
    pub(super) fn end(&mut self, now: Now, index: u32, why: &str) {
        let Some(device) = self.remove(index) else {
            return;
        };
        let endpoint = device.endpoint().clone();
        let told = device.is_registered();
        self.part(now, device, why);
        let mut cx = self.shared.at(now);
        if told {
            cx.event(Event::Deregistered {
                endpoint: endpoint.clone(),
                expired: true,
            });
        }
        let op = Op::Delete(stored::key(&endpoint));
        cx.persist(vec![op], Waiting::Background(endpoint));
    }

    /// An operator deletes a device, and what waits for it.
    pub(super) fn delete(&mut self, now: Now, endpoint: &Endpoint) {
        self.unreadable.forget(endpoint);
        match self.registry.by_endpoint(endpoint) {
            Some(index) => self.end(now, index, "the device was deleted"),
            None => {
                let op = Op::Delete(stored::key(endpoint));
                let mut cx = self.shared.at(now);
                cx.persist(vec![op], Waiting::Background(endpoint.clone()));
            }
        }
        self.withdraw_all(now, endpoint);
    }
}
