//! One shard: the registry of its devices, and where their datagrams go.

use std::sync::Arc;

use tinsmith_coap::Numbering;
use tracing::warn;

use super::access::Access;
use super::away::Away;
use super::bootstrap::Bootstrap;
use super::config::ShardConfig;
use super::device::Device;
use super::ends::Untold;
use super::gone::Gone;
use super::protection::Protection;
use super::quota::{Bounds, Quota};
use super::registry::Registry;
use super::route::id_bits;
use super::shared::{Context, Shared, Source, Waiting};
use super::types::{Event, Now, Presence, Registration};
use super::unreadable::Unreadable;
use super::uploads::Uploads;
use super::{Identity, Input, Output, Role, request_record, stored};
use tinsmith_store::{Key, Kind, RecordError, Stored};

/// The LwM2M logic for the devices of one shard; see the [module](super).
pub struct Shard {
    pub(super) registry: Registry,
    pub(super) shared: Shared,
    pub(super) roles: Vec<Role>,
    pub(super) away: Away,
    pub(super) untold: Untold,
    pub(super) uploads: Uploads,
    /// Devices whose addresses are not proven.
    pub(super) strangers: Quota<u32>,
    pub(super) bootstrap: Bootstrap,
    pub(super) gone: Gone,
    pub(super) unreadable: Unreadable,
    pub(super) index: u8,
    pub(super) shards: u8,
    pub(super) protection: Protection,
    pub(super) access: Option<Arc<dyn Access>>,
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
            untold: Untold::default(),
            uploads: Uploads::new(&limits),
            strangers: Quota::new(Bounds {
                all: limits.strangers.max(1),
                each: limits.strangers_per_source.max(1),
                exempt_loopback: limits.exempt_loopback,
            }),
            bootstrap: Bootstrap::new(config.bootstrap, &limits),
            gone: Gone::default(),
            unreadable: Unreadable::default(),
            index: config.index,
            shards: config.shards,
            protection: Protection::default(),
            access: None,
        }
    }

    /// Lets only those bootstrap and register whom `access` lets, with keys that it issues; without,
    /// everybody, without keys.
    #[must_use]
    pub fn with_access(mut self, access: Arc<dyn Access>) -> Self {
        self.bootstrap.access = Some(Arc::clone(&access));
        self.access = Some(access);
        self
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
                Ok(found) => {
                    let registration = Arc::clone(&found.entry.registration);
                    cx.learned(found.link.route());
                    cx.event(Event::Registered {
                        endpoint: registration.endpoint.clone(),
                        registration,
                        new: false,
                    });
                    let index = self.insert(now, Device::restored(found));
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
                Ok(request) => self.restore_request(now, request),
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
                        bytes: bytes.len(),
                    },
                    bytes,
                );
            }
            Input::Command(request) => self.command(now, request, false),
            Input::Later(request) => self.command(now, request, true),
            Input::Withdraw(id) => {
                self.withdraw(now, id);
            }
            Input::Revoked(identity) => self.revoked(now, &identity),
            Input::Delete(endpoint) => self.delete(now, &endpoint),
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
        self.poll_secured()
    }

    /// When [`Input::Tick`] is due, on the monotonic clock (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        let device = self.registry.next_deadline();
        let others = [
            self.bootstrap.next_deadline(),
            self.away.next_deadline(),
            self.untold.next_deadline(),
        ];
        others.into_iter().flatten().chain(device).min()
    }

    /// A device, if it is registered.
    pub fn registration(&self, endpoint: &str) -> Option<Arc<Registration>> {
        let index = self.registry.by_endpoint(endpoint)?;
        let device = self.registry.get(index)?;
        device
            .is_registered()
            .then(|| Arc::clone(&device.entry().registration))
    }

    /// Whether a device is there, if it is registered.
    pub fn presence(&self, now: Now, endpoint: &str) -> Option<Presence> {
        let index = self.registry.by_endpoint(endpoint)?;
        self.registry.get(index)?.presence(now)
    }

    /// What a device has proved, if it is registered.
    pub fn identity(&self, endpoint: &str) -> Option<&Identity> {
        let index = self.registry.by_endpoint(endpoint)?;
        let device = self.registry.get(index)?;
        device.is_registered().then(|| &device.link().identity)
    }

    /// How many devices are registered, and how many of them are reachable.
    pub fn present(&self, now: Now) -> (usize, usize) {
        let all = self
            .registry
            .iter()
            .filter_map(|device| device.presence(now));
        all.fold((0, 0), |(registered, reachable), presence| {
            let reached = usize::from(presence.reachable);
            (registered + 1, reachable + reached)
        })
    }

    /// All registered devices, in no order.
    pub fn registrations(&self) -> impl Iterator<Item = Arc<Registration>> {
        let devices = self.registry.iter();
        devices
            .filter(|device| device.is_registered())
            .map(|device| Arc::clone(&device.entry().registration))
    }

    fn tick(&mut self, now: Now) {
        self.bootstrap.tick(&mut self.shared.at(now));
        self.expire_away(now);
        let mut cx = self.shared.at(now);
        while let Some(end) = self.untold.due(now) {
            cx.persist(vec![end.op()], Waiting::Completed(end));
        }
        while let Some(index) = self.registry.due(now.mono) {
            match self.registry.get(index) {
                Some(device) if device.is_over(now.mono) => {
                    self.end(now, index, "the registration expired");
                }
                _ => self.settle(now, index),
            }
        }
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
        if device.link().proof.is_proven() {
            self.strangers.leave(&index);
        }
        if let Device::Here(session) = device
            && session.is_dirty()
            && let Some(op) = session.record()
        {
            let endpoint = session.endpoint().clone();
            cx.persist(vec![op], Waiting::Background(endpoint));
        }
        self.registry.set_timer(index);
    }
}
