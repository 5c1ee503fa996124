//! Carries out what `next` decides, for all devices of a shard.

mod answers;
mod steps;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path, ids};

use super::SCHEMA;
use super::ask::{Ask, AskId, Change, Reply};
use super::capabilities::Capabilities;
use super::next::View;
use super::record::{Artefact, Desired, DeviceRecord, Failure, Finished, Step};
use super::slot;
use super::status::{Status, summarise};
use tinsmith_digest::Digest;
use tinsmith_lwm2m::{
    Body, DeviceRequest, Endpoint, Event, Now, Operation, PersistId, Registration, RequestId,
};
use tinsmith_store::{self as store, Batch, Key, Kind, Op, Stored};

/// An attempt is given up after this time (ms).
const ATTEMPT: u64 = 24 * 3_600_000;
/// A request that could not be sent or answered is asked again after this time (ms).
const REQUEST: u64 = 120_000;
/// A push lives as long as it makes progress; this only bounds a forgotten one (ms).
const PUSH: u64 = 6 * 3_600_000;
/// First and longest pause between two polls (ms).
const PAUSE: (u64, u64) = (100, 5_000);
/// Transient failures after which an attempt is given up.
const TRIES: u8 = 3;
/// Pushes that end with an error and without progress, after which an attempt is given up.
const REJECTIONS: u8 = 8;

/// The objects a capability is made of.
const CAPABILITY: [u16; 3] = [ids::COMPUTE_PLATFORM, ids::COMPUTE_UNIT, ids::MEMORY_REGION];

/// Why a device is left alone that has none of them.
const NO_PLATFORM: &str = "the device has no Compute Platform object (27300): it can't run models";

/// What the device says it has is believed: nothing is read to find out.
fn lacks_platform(registration: &Registration) -> Option<String> {
    let [platform, ..] = CAPABILITY;
    let objects = registration.objects.iter();
    let mut ids = objects.map(|(path, _)| path.object_id());
    (!ids.any(|id| id == Some(platform))).then(|| NO_PLATFORM.to_owned())
}

/// Names a job; answered with [`Reconciler::job_done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What an operator decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The device shall run this model.
    Want {
        /// Name in the zoo.
        model: String,
        /// Version of the model.
        version: String,
        /// SHA-256 of the ONNX file.
        source: Digest,
        /// Seconds until the device rolls back by itself; 0 lets it commit by itself.
        trial_s: u32,
    },
    /// No model is wanted any more; what runs stays.
    Forget,
    /// Try again after a failure.
    Retry,
}

/// Work that is not for a single-threaded shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Build a model for a device.
    Build {
        /// Name in the zoo.
        model: String,
        /// SHA-256 of the ONNX file.
        source: Digest,
        /// What the device is made of.
        capability: Arc<Capability>,
    },
    /// Wrap a module into a package.
    Package(PackageJob),
}

/// What the head of a package says.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageJob {
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// SHA-256 of the ONNX file.
    pub source: Digest,
    /// The module.
    pub artefact: Artefact,
    /// Of the device.
    pub capability_digest: [u8; 16],
    /// Of the device's runtime.
    pub abi: u32,
    /// Above all earlier ones of this device.
    pub sequence: u64,
    /// Seconds until the device rolls back by itself.
    pub trial_s: u32,
}

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum JobResult {
    /// Of [`Job::Build`].
    Built(Result<Artefact, Failure>),
    /// Of [`Job::Package`].
    Packaged(Result<Package, String>),
}

/// A package, ready to be sent.
#[derive(Clone, Debug)]
pub struct Package {
    /// SHA-256 of all of it.
    pub digest: Digest,
    /// Everything before the module, for one device.
    pub head: Arc<[u8]>,
    /// The module's file, the same for all devices that are sent it.
    pub module: Arc<[u8]>,
}

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

#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Digest,
    Capability(u16),
    Slots,
    Firmware,
    Observe(Path),
    Reset,
    Push,
    Install,
    Commit,
}

#[derive(Default)]
struct Device {
    record: DeviceRecord,
    view: View,
    online: bool,
    /// Why it is left alone until it registers again.
    unsupported: Option<String>,
    strikes: u8,
    asked: Option<(RequestId, Asked)>,
    job: Option<JobId>,
    /// What is sent; only while the device is there.
    body: Option<Body>,
    progress: Option<(u32, u32)>,
    /// Differs from what is stored.
    dirty: bool,
    storing: Option<PersistId>,
    /// Monotonic time (ms) of the next try.
    wake: Option<u64>,
    pause: u64,
    watching: Vec<Path>,
    /// Values of objects 27300 to 27302 read so far.
    gathered: Vec<(Path, OwnedValue)>,
    /// What is stored together with the record.
    beside: Vec<Op>,
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

    /// An operator asks something; answered by [`Output::Answer`].
    pub fn ask(&mut self, now: Now, id: AskId, endpoint: &Endpoint, ask: Ask) {
        let (reply, after) = match ask {
            Ask::Decide(command) => match self.unreadable.get(endpoint) {
                Some(reason) => (Reply::Unreadable(reason.clone()), None),
                None => (Reply::Stored, self.command(now, endpoint, command)),
            },
            Ask::Status => (Reply::Status(self.status(endpoint).map(Box::new)), None),
        };
        self.output.push_back(Output::Answer(id, reply, after));
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

    /// Something happened to a device.
    pub fn event(&mut self, now: Now, event: &Event) {
        match event {
            Event::Registered {
                endpoint,
                registration,
                new,
            } => {
                if self.unreadable.contains_key(endpoint) {
                    return;
                }
                let device = self.devices.entry(endpoint.clone()).or_default();
                device.online = true;
                device.unsupported = lacks_platform(registration);
                device.strikes = 0;
                device.view = View::default();
                if *new && device.record.attempt.is_some() {
                    device.record.note(now.wall, "registered");
                    device.dirty = true;
                }
                self.forget_request(endpoint);
                self.unpause(endpoint);
                self.advance(now, endpoint);
            }
            Event::Updated {
                endpoint,
                registration,
            } => {
                if let Some(device) = self.devices.get_mut(endpoint) {
                    device.online = true;
                    match lacks_platform(registration) {
                        None if device.unsupported.as_deref() == Some(NO_PLATFORM) => {
                            device.unsupported = None;
                        }
                        None => {}
                        lacks => device.unsupported = lacks,
                    }
                    self.unpause(endpoint);
                    self.advance(now, endpoint);
                }
            }
            Event::Deregistered { endpoint, .. } => {
                if let Some(device) = self.devices.get_mut(endpoint) {
                    device.online = false;
                    device.body = None;
                    device.view = View::default();
                    device.progress = None;
                    self.forget_request(endpoint);
                    self.changed(endpoint);
                }
            }
            Event::Notified {
                endpoint, target, ..
            }
            | Event::ObservationEnded {
                endpoint, target, ..
            } => {
                for path in target.paths() {
                    self.notified(now, endpoint, path);
                }
            }
            Event::Progress {
                endpoint,
                id,
                sent,
                total,
            } => {
                let Some(device) = self.devices.get_mut(endpoint) else {
                    return;
                };
                if device.asked.as_ref().is_none_or(|(asked, _)| asked != id) {
                    return;
                }
                device.progress = Some((*sent, *total));
                if let Some(attempt) = &mut device.record.attempt {
                    device.dirty |= !attempt.pushed;
                    attempt.pushed = true;
                    attempt.rejected = 0;
                    attempt.transfer_started.get_or_insert(now.wall);
                    device.pause = 0;
                }
                self.changed(endpoint);
            }
            Event::Completed {
                endpoint,
                id,
                outcome,
            } => {
                self.completed(now, endpoint, *id, outcome);
            }
            Event::Bootstrapped { .. } => {}
        }
    }

    fn notified(&mut self, now: Now, endpoint: &Endpoint, path: &Path) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        match path.object_id() {
            Some(ids::FIRMWARE_UPDATE) => device.view.firmware = None,
            Some(slot::OBJECT) => device.view.slots = None,
            _ => return,
        }
        self.unpause(endpoint);
        self.advance(now, endpoint);
    }

    /// An operator decided. The decision holds once the batch that is named is durable; none is
    /// made about a device whose record can't be read.
    pub fn command(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        command: Command,
    ) -> Option<PersistId> {
        if self.unreadable.contains_key(endpoint) {
            return None;
        }
        let device = self.devices.entry(endpoint.clone()).or_default();
        let record = &mut device.record;
        let generation = record
            .desired
            .as_ref()
            .map(|d| d.generation)
            .into_iter()
            .chain(record.last.as_ref().map(|l| l.generation))
            .max()
            .unwrap_or(0)
            + 1;
        match command {
            Command::Want {
                model,
                version,
                source,
                trial_s,
            } => {
                record.note(now.wall, format!("wanted: {model} {version}"));
                let since = now.wall;
                record.desired = Some(Desired {
                    model,
                    version,
                    source,
                    generation,
                    since,
                    trial_s,
                });
            }
            Command::Forget => {
                record.note(now.wall, "nothing is wanted any more");
                record.desired = None;
            }
            Command::Retry => {
                record.note(now.wall, "asked to try again");
                if let Some(desired) = &mut record.desired {
                    desired.generation = generation;
                }
            }
        }
        record.attempt = None;
        device.dirty = true;
        device.body = None;
        device.progress = None;
        device.view = View {
            observed: device.view.observed,
            ..View::default()
        };
        device.strikes = 0;
        if let Some(job) = device.job.take() {
            self.jobs.remove(&job);
        }
        self.forget_request(endpoint);
        self.unpause(endpoint);
        if let Some(device) = self.devices.get_mut(endpoint) {
            device.storing = None;
        }
        self.store(endpoint);
        let stored = self.devices.get(endpoint).and_then(|device| device.storing);
        self.advance(now, endpoint);
        stored
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

    /// A job ended.
    pub fn job_done(&mut self, now: Now, id: JobId, result: JobResult) {
        let Some(endpoint) = self.jobs.remove(&id) else {
            return;
        };
        let Some(device) = self.devices.get_mut(&endpoint) else {
            return;
        };
        if device.job != Some(id) {
            return;
        }
        device.job = None;
        let Some(attempt) = &mut device.record.attempt else {
            return;
        };
        match result {
            JobResult::Built(Ok(artefact)) => {
                attempt.step = Step::Preparing;
                let text = format!(
                    "built {} ({} B, arena {} B{})",
                    artefact.module.short(),
                    artefact.module_bytes,
                    artefact.arena_bytes,
                    if artefact.cached { ", cached" } else { "" }
                );
                attempt.artefact = Some(artefact);
                device.record.note(now.wall, text);
                device.dirty = true;
            }
            JobResult::Built(Err(failure)) => self.finish(now, &endpoint, Some(failure)),
            JobResult::Packaged(Ok(Package {
                digest,
                head,
                module,
            })) => {
                let body = Body::new(head, module);
                let package = (digest, body.len() as u32);
                device.dirty |= attempt.package != Some(package);
                attempt.package = Some(package);
                device.body = device.online.then_some(body);
            }
            JobResult::Packaged(Err(reason)) => {
                self.finish(now, &endpoint, Some(Failure::Build { reason }));
            }
        }
        self.advance(now, &endpoint);
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

    fn request(&mut self, now: Now, endpoint: &Endpoint, asked: Asked, operation: Operation) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        self.count += 1;
        let id = RequestId(self.count);
        let life = if asked == Asked::Push { PUSH } else { REQUEST };
        device.asked = Some((id, asked));
        self.requests.insert(id, endpoint.clone());
        self.output.push_back(Output::Request(DeviceRequest {
            id,
            endpoint: endpoint.clone(),
            operation,
            expires: now.wall + life,
            durable: false,
        }));
    }

    fn start(&mut self, endpoint: &Endpoint, job: Job) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        self.count += 1;
        let id = JobId(self.count);
        device.job = Some(id);
        self.jobs.insert(id, endpoint.clone());
        self.output
            .push_back(Output::Job(endpoint.clone(), id, job));
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
        self.output.push_back(Output::Changed(Change {
            endpoint,
            summary,
            detail,
            progress,
        }));
    }

    fn forget_request(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if let Some((id, _)) = device.asked.take() {
            self.requests.remove(&id);
            self.output
                .push_back(Output::Withdraw(endpoint.clone(), id));
        }
        device.watching.clear();
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
