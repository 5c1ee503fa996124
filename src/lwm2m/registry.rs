//! The devices of a shard, and how they are found.

use std::collections::{BTreeSet, HashMap};

use super::device::Device;
use super::types::Endpoint;
use super::{ListenerId, Peer};

/// All registered devices.
pub(super) struct Registry {
    devices: Vec<Option<Box<Device>>>,
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
            devices: Vec::new(),
            free: Vec::new(),
            by_endpoint: HashMap::new(),
            by_location: HashMap::new(),
            by_peer: HashMap::new(),
            timers: BTreeSet::new(),
            devices_per_peer,
        }
    }

    /// How many devices there are.
    pub(super) fn len(&self) -> usize {
        self.by_endpoint.len()
    }

    pub(super) fn get(&self, index: u32) -> Option<&Device> {
        self.devices.get(index as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Device> {
        self.devices.get_mut(index as usize)?.as_deref_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().flatten().map(|device| &**device)
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
        let device = self.devices.get_mut(index as usize)?.take()?;
        self.by_endpoint.remove(device.endpoint());
        self.by_location.remove(&device.location);
        self.remove_route(device.listener, device.peer, index);
        if let Some(at) = device.timer {
            self.timers.remove(&(at, index));
        }
        self.free.push(index);
        Some(device)
    }

    /// The device got another location.
    pub(super) fn relocate(&mut self, old: u64, new: u64, index: u32) {
        self.by_location.remove(&old);
        self.by_location.insert(new, index);
    }

    /// The device is reached by another peer.
    pub(super) fn reroute(&mut self, old: (ListenerId, Peer), new: (ListenerId, Peer), index: u32) {
        if old != new {
            self.remove_route(old.0, old.1, index);
            self.add_route(new.0, new.1, index);
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
        if let Some(device) = self.get_mut(index) {
            device.timer = None;
        }
        Some(index)
    }

    /// Sets a device's timer to its next deadline.
    pub(super) fn set_timer(&mut self, index: u32) {
        let Some(device) = self
            .devices
            .get_mut(index as usize)
            .and_then(|slot| slot.as_deref_mut())
        else {
            return;
        };
        let at = device.next_deadline();
        if device.timer != Some(at) {
            if let Some(old) = device.timer.replace(at) {
                self.timers.remove(&(old, index));
            }
            self.timers.insert((at, index));
        }
    }
}
