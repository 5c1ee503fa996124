//! Carries out what `next` decides, for all devices of a shard.

mod anchors;
mod answers;
mod decide;
mod device;
mod events;
mod fault;
mod jobs;
mod keep;
mod requests;
mod steps;

use std::collections::{BTreeSet, VecDeque};

use super::SCHEMA;
use super::ask::{AskId, Change, Reply};
use super::capabilities::Capabilities;
use super::record::{Failure, Finished, PIECE};
use super::slot::SlotState;
use super::status::{Status, summarise};
use device::Device;
use tinsmith_lwm2m::hash::HashMap;
use tinsmith_lwm2m::{DeviceRequest, Endpoint, Now, PersistId, RequestId};
use tinsmith_order::{Anchors, Job, JobId};
use tinsmith_store::{self as store, Batch, Key, Kind, Stored};

/// First and longest pause between two polls (ms).
const PAUSE: (u64, u64) = (100, 5_000);
/// The same while a device can't answer, or answers with something wrong (ms).
const LATER: (u64, u64) = (1_000, 300_000);
/// Transient failures after which an attempt is given up, and answers of a device without attempt
/// that can't be used, after which it is left alone until it registers again.
const TRIES: u8 = 3;
/// Entries of history that are kept of a device, unless told otherwise.
pub const HISTORY: usize = 1024;

/// What the reconciler asks for.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this.
    Request(DeviceRequest),
    /// Its answer is not needed any more.
    Withdraw(Endpoint, RequestId),
    /// Store this; then call [`Reconciler::persisted`].
    Persist(PersistId, Batch),
    /// Do this; then call [`Reconciler::job_done`].
    Job(Endpoint, JobId, Job),
    /// Something changed that an operator may want to see.
    Changed(Change),
    /// The answer to an operator; once the batch is durable, if one is named.
    Answer(AskId, Reply, Option<PersistId>),
}

/// All devices of a shard.
#[derive(Default)]
pub struct Reconciler {
    /// Boxed: a table has room for twice what is in it.
    devices: HashMap<Endpoint, Box<Device>>,
    /// Devices whose records can't be read, and why. None of them is in `devices`: nothing is done
    /// about them, so that nothing is written over their records.
    unreadable: HashMap<Endpoint, String>,
    capabilities: Capabilities,
    /// What devices shall trust.
    anchors: Anchors,
    wakes: BTreeSet<(u64, Endpoint)>,
    output: VecDeque<Output>,
    requests: HashMap<RequestId, Endpoint>,
    jobs: HashMap<JobId, Endpoint>,
    persists: HashMap<PersistId, Endpoint>,
    count: u64,
    /// Pieces of history that are kept of a device.
    history: u64,
}

impl Reconciler {
    /// With no devices, and the history that is kept unless told otherwise.
    pub fn new() -> Self {
        Self::with_history(HISTORY)
    }

    /// With no devices; of each at least so many entries are kept that left its timeline.
    pub fn with_history(entries: usize) -> Self {
        Self {
            history: entries.div_ceil(PIECE) as u64,
            ..Self::default()
        }
    }

    /// The key of a device's record.
    pub fn key(endpoint: &str) -> Key {
        Key::new(Kind::DEVICE, endpoint.as_bytes())
    }

    /// Takes up a record of an earlier process; before any event. One that can't be read is shown
    /// as [`Summary::Unreadable`](super::Summary::Unreadable) and never overwritten.
    pub fn restore(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), store::RecordError> {
        match store::decode(1..=SCHEMA, bytes) {
            Ok(record) => {
                let mut device = Device::restored(record);
                let endpoint = Endpoint::from(endpoint);
                if device.dirty {
                    device.wake = Some(0);
                    self.wakes.insert((0, endpoint.clone()));
                }
                self.devices.insert(endpoint, Box::new(device));
                Ok(())
            }
            Err(error) => {
                self.unreadable.insert(endpoint.into(), error.to_string());
                Err(error)
            }
        }
    }

    /// Takes up what an earlier process knew of a kind of device; before any event. One that
    /// can't be read is set aside when that kind is read again.
    pub fn restore_capability(
        &mut self,
        key: &Key,
        stored: &Stored,
    ) -> Result<(), store::RecordError> {
        self.capabilities.restore(key, stored)
    }

    /// What an operator sees of a device, or `None` if it was never seen and nothing is wanted.
    pub fn status(&self, endpoint: &str) -> Option<Status> {
        if let Some(reason) = self.unreadable.get(endpoint) {
            return Some(Status::unreadable(reason));
        }
        let device = self.devices.get(endpoint)?;
        let Device {
            record,
            view,
            online,
            unsupported,
            ..
        } = &**device;
        let known = record.capability.as_ref();
        let capability = known.and_then(|digest| self.capabilities.get(digest));
        let status = Status::new(
            record,
            capability,
            *online,
            unsupported.as_deref(),
            device.progress(),
        );
        Some(Status {
            trusted: view.trusted.clone(),
            ..status
        })
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Monotonic time (ms) at which [`Reconciler::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Now) {
        while let Some((at, endpoint)) = self.wakes.first().cloned() {
            if at > now.mono {
                break;
            }
            self.wakes.pop_first();
            if let Some(device) = self.devices.get_mut(&endpoint) {
                device.wake = None;
            }
            self.advance(now, &endpoint);
        }
    }

    fn finish(&mut self, now: Now, endpoint: &Endpoint, failure: Option<Failure>) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let record = &mut device.record;
        let Some(desired) = &record.desired else {
            return;
        };
        let generation = desired.generation;
        let attempt = record.attempt.take();
        let text = match &failure {
            None => format!("{} {} is installed", desired.model, desired.version),
            Some(failure) => failure.to_string(),
        };
        let artefact = attempt.as_ref().and_then(|a| a.artefact.clone());
        match &failure {
            None => record.succeeded(artefact.clone()),
            Some(Failure::WentBack { .. }) => {
                let mut slots = device.view.slots.iter().flatten();
                if let Some(active) = slots.find(|slot| slot.state == SlotState::Active) {
                    record.went_back(active);
                }
            }
            Some(_) => {}
        }
        record.last = Some(Box::new(Finished {
            generation,
            capability: record.capability.unwrap_or_default(),
            at: now.wall,
            artefact,
            transfer_ms: attempt.as_ref().and_then(|a| a.transfer_ms),
            failure,
        }));
        record.note(now.wall, text);
        device.dirty = true;
        device.set_body(None);
        device.set_progress(None);
    }

    fn changed(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get(endpoint) else {
            return;
        };
        let unsupported = device.unsupported.as_deref();
        let (summary, detail) = summarise(&device.record, device.online, unsupported);
        let (endpoint, progress) = (endpoint.to_string(), device.progress());
        let decision = device.record.desired.as_ref().map(|d| d.generation);
        self.output.push_back(Output::Changed(Change {
            endpoint,
            summary,
            detail,
            progress,
            decision,
        }));
    }

    /// Stores what has changed, and waits.
    fn pause(&mut self, now: Now, endpoint: &Endpoint) {
        self.back_off(now, endpoint, PAUSE);
    }

    /// Stores what has changed, and waits twice as long as the time before, from a first to a
    /// longest pause (ms).
    fn back_off(&mut self, now: Now, endpoint: &Endpoint, pauses: (u64, u64)) {
        self.wait(now, endpoint, pauses);
        self.store(endpoint);
    }

    fn wait(&mut self, now: Now, endpoint: &Endpoint, (first, longest): (u64, u64)) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        device.pause = (device.pause * 2).clamp(first, longest);
        let at = now.mono + device.pause;
        if let Some(old) = device.wake.replace(at) {
            self.wakes.remove(&(old, endpoint.clone()));
        }
        self.wakes.insert((at, endpoint.clone()));
    }

    fn unpause(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        device.pause = 0;
        if let Some(old) = device.wake.take() {
            self.wakes.remove(&(old, endpoint.clone()));
        }
    }
}
