//! Carries out what `next` decides, for all devices of a shard.

mod answers;
mod decide;
mod device;
mod events;
mod jobs;
mod requests;
mod steps;

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::SCHEMA;
use super::ask::{AskId, Change, Reply};
use super::capabilities::Capabilities;
use super::record::{Failure, Finished};
use super::status::{Status, summarise};
use device::Device;
use tinsmith_lwm2m::{DeviceRequest, Endpoint, Now, PersistId, RequestId};
use tinsmith_order::{Job, JobId};
use tinsmith_store::{self as store, Batch, Key, Kind, Stored};

/// First and longest pause between two polls (ms).
const PAUSE: (u64, u64) = (100, 5_000);
/// Transient failures after which an attempt is given up.
const TRIES: u8 = 3;

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
    devices: HashMap<Endpoint, Device>,
    /// Devices whose records can't be read, and why. None of them is in `devices`: nothing is done
    /// about them, so that nothing is written over their records.
    unreadable: HashMap<Endpoint, String>,
    capabilities: Capabilities,
    wakes: BTreeSet<(u64, Endpoint)>,
    output: VecDeque<Output>,
    requests: HashMap<RequestId, Endpoint>,
    jobs: HashMap<JobId, Endpoint>,
    persists: HashMap<PersistId, Endpoint>,
    count: u64,
}

impl Reconciler {
    /// With no devices.
    pub fn new() -> Self {
        Self::default()
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
                let device = Device {
                    record,
                    ..Device::default()
                };
                self.devices.insert(endpoint.into(), device);
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
            online,
            unsupported,
            progress,
            ..
        } = device;
        let known = record.capability.as_ref();
        let capability = known.and_then(|digest| self.capabilities.get(digest));
        Some(Status::new(
            record,
            capability,
            *online,
            unsupported.as_deref(),
            *progress,
        ))
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

    /// A batch is durable.
    pub fn persisted(&mut self, now: Now, id: PersistId) {
        let Some(endpoint) = self.persists.remove(&id) else {
            return;
        };
        if let Some(device) = self.devices.get_mut(&endpoint)
            && device.storing == Some(id)
        {
            device.storing = None;
        }
        self.advance(now, &endpoint);
    }

    /// A batch could not be stored: nothing that depends on it is sent, and it is tried again.
    pub fn persist_failed(&mut self, now: Now, id: PersistId) {
        let Some(endpoint) = self.persists.remove(&id) else {
            return;
        };
        if let Some(device) = self.devices.get_mut(&endpoint)
            && device.storing == Some(id)
        {
            device.storing = None;
            device.dirty = true;
        }
        self.pause(now, &endpoint);
    }

    fn store(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if !device.dirty || device.storing.is_some() {
            return;
        }
        let record = match store::encode(SCHEMA, &device.record) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%endpoint, %error, "bug: a device record can't be encoded");
                return;
            }
        };
        self.count += 1;
        let id = PersistId(self.count);
        let mut batch = Batch::put(Self::key(endpoint), record);
        batch.ops.append(&mut device.beside);
        device.dirty = false;
        device.storing = Some(id);
        self.persists.insert(id, endpoint.clone());
        self.output.push_back(Output::Persist(id, batch));
        self.changed(endpoint);
    }

    fn finish(&mut self, now: Now, endpoint: &Endpoint, failure: Option<Failure>) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let record = &mut device.record;
        let Some(desired) = &record.desired else {
            return;
        };
        let attempt = record.attempt.take();
        let text = match &failure {
            None => format!("{} {} is installed", desired.model, desired.version),
            Some(failure) => failure.to_string(),
        };
        record.last = Some(Finished {
            generation: desired.generation,
            capability: record.capability.unwrap_or_default(),
            at: now.wall,
            artefact: attempt.as_ref().and_then(|a| a.artefact.clone()),
            transfer_ms: attempt.as_ref().and_then(|a| a.transfer_ms),
            failure,
        });
        record.note(now.wall, text);
        device.dirty = true;
        device.body = None;
        device.progress = None;
    }

    fn changed(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get(endpoint) else {
            return;
        };
        let unsupported = device.unsupported.as_deref();
        let (summary, detail) = summarise(&device.record, device.online, unsupported);
        let (endpoint, progress) = (endpoint.to_string(), device.progress);
        let decision = device.record.desired.as_ref().map(|d| d.generation);
        self.output.push_back(Output::Changed(Change {
            endpoint,
            summary,
            detail,
            progress,
            decision,
        }));
    }

    fn pause(&mut self, now: Now, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        device.pause = (device.pause * 2).clamp(PAUSE.0, PAUSE.1);
        let at = now.mono + device.pause;
        if let Some(old) = device.wake.replace(at) {
            self.wakes.remove(&(old, endpoint.clone()));
        }
        self.wakes.insert((at, endpoint.clone()));
        self.store(endpoint);
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
