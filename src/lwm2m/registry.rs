//! The devices of a shard, and how they are found.

use std::collections::BTreeSet;

use super::device::Device;
use super::hash::HashMap;
use super::types::Endpoint;
use super::{ListenerId, Peer};

struct Slot {
    device: Device,
    /// What is in the table of timers.
    timer: Option<u64>,
}

/// Under what a device is found.
type Names = (u64, (ListenerId, Peer));

fn names(device: &Device) -> Names {
    (device.entry().location, device.link().route())
}

/// All devices.
pub(super) struct Registry {
    slots: Vec<Option<Box<Slot>>>,
    free: Vec<u32>,
    by_endpoint: HashMap<Endpoint, u32>,
    by_location: HashMap<u64, u32>,
    by_peer: HashMap<(ListenerId, Peer), Vec<u32>>,
    timers: BTreeSet<(u64, u32)>,
    /// Most devices behind one peer that are found by it.
    devices_per_peer: usize,
}

impl Registry {
    pub(super) fn new(devices_per_peer: usize) -> Self {
        Registry {
            slots: Vec::new(),
            free: Vec::new(),
            by_endpoint: HashMap::default(),
            by_location: HashMap::default(),
            by_peer: HashMap::default(),
            timers: BTreeSet::new(),
            devices_per_peer,
        }
    }

    /// How many devices there are.
    pub(super) fn len(&self) -> usize {
        self.by_endpoint.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Device> {
        let slot = self.slots.get(index as usize)?.as_deref()?;
        Some(&slot.device)
    }

    fn slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)?.as_deref_mut()
    }

    /// To do something that changes neither its location nor its route, see
    /// [`Registry::change`].
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Device> {
        Some(&mut self.slot(index)?.device)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Device> {
        self.slots.iter().flatten().map(|slot| &slot.device)
    }

    pub(super) fn by_endpoint(&self, endpoint: &str) -> Option<u32> {
        self.by_endpoint.get(endpoint).copied()
    }

    /// By the random part of a location.
    pub(super) fn by_location(&self, location: u64) -> Option<u32> {
        self.by_location.get(&location).copied()
    }

    pub(super) fn by_peer(&self, listener: ListenerId, peer: Peer) -> &[u32] {
        let found = self.by_peer.get(&(listener, peer));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn insert(&mut self, device: Device) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.by_endpoint.insert(device.endpoint().clone(), index);
        let (location, (listener, peer)) = names(&device);
        self.by_location.insert(location, index);
        self.add_route(listener, peer, index);
        let timer = None;
        self.slots[index as usize] = Some(Box::new(Slot { device, timer }));
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Device> {
        let slot = self.slots.get_mut(index as usize)?.take()?;
        let Slot { device, timer } = *slot;
        self.by_endpoint.remove(device.endpoint());
        let (location, (listener, peer)) = names(&device);
        self.by_location.remove(&location);
        self.remove_route(listener, peer, index);
        if let Some(at) = timer {
            self.timers.remove(&(at, index));
        }
        self.free.push(index);
        Some(device)
    }

    /// Takes a device to another state, place or location.
    pub(super) fn change(&mut self, index: u32, to: impl FnOnce(Device) -> Device) {
        let Some(place) = self.slots.get_mut(index as usize) else {
            return;
        };
        let Some(mut slot) = place.take() else { return };
        let (old_location, old_route) = names(&slot.device);
        *slot = Slot {
            device: to(slot.device),
            timer: slot.timer,
        };
        let (location, route) = names(&slot.device);
        *place = Some(slot);
        if old_location != location {
            self.by_location.remove(&old_location);
            self.by_location.insert(location, index);
        }
        if old_route != route {
            self.remove_route(old_route.0, old_route.1, index);
            self.add_route(route.0, route.1, index);
        }
    }

    fn add_route(&mut self, listener: ListenerId, peer: Peer, index: u32) {
        let list = self.by_peer.entry((listener, peer)).or_default();
        if list.contains(&index) {
            return;
        }
        if list.len() >= self.devices_per_peer {
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

    /// The first deadline of all devices (monotonic, ms).
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes out a device's timer that is due.
    pub(super) fn due(&mut self, now: u64) -> Option<u32> {
        let (at, index) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        if let Some(slot) = self.slot(index) {
            slot.timer = None;
        }
        Some(index)
    }

    /// Sets a device's timer to its next deadline.
    pub(super) fn set_timer(&mut self, index: u32) {
        let Some(slot) = self.slot(index) else {
            return;
        };
        let at = slot.device.next_deadline();
        if slot.timer != Some(at) {
            let old = slot.timer.replace(at);
            if let Some(old) = old {
                self.timers.remove(&(old, index));
            }
            self.timers.insert((at, index));
        }
    }
}
