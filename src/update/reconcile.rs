//! Carries out what [`next`] decides, for all devices of a shard.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path};

use super::firmware::{self, State};
use super::next::{Next, View, next};
use super::record::{
    Artefact, Attempt, Desired, DeviceRecord, Failure, Finished, KnownCapability, Step,
};
use super::slot;
use super::status::{Status, summarise};
use super::SCHEMA;
use super::ask::{Ask, AskId, Change, Reply};
use crate::digest::Digest;
use crate::lwm2m::{
    DeviceRequest, Endpoint, Event, Now, Operation, Outcome, PersistId, RequestId,
};
use crate::store::{self, Batch, Key, Kind};

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
const CAPABILITY: [u16; 3] = [27300, 27301, 27302];

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
    Packaged(Result<Arc<[u8]>, String>),
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
    body: Option<Arc<[u8]>>,
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
}

/// All devices of a shard.
#[derive(Default)]
pub struct Reconciler {
    devices: HashMap<Endpoint, Device>,
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

    /// Takes up a record of an earlier process; before any event.
    pub fn restore(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), store::RecordError> {
        let record: DeviceRecord = store::decode(SCHEMA, bytes)?;
        self.devices.insert(endpoint.into(), Device { record, ..Device::default() });
        Ok(())
    }

    /// What an operator sees of a device, or `None` if it was never seen and nothing is wanted.
    pub fn status(&self, endpoint: &str) -> Option<Status> {
        let device = self.devices.get(endpoint)?;
        let Device { record, online, unsupported, progress, .. } = device;
        Some(Status::new(record, *online, unsupported.as_deref(), *progress))
    }

    /// The endpoints it knows.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.devices.keys()
    }

    /// An operator asks something; answered by [`Output::Answer`].
    pub fn ask(&mut self, now: Now, id: AskId, endpoint: &Endpoint, ask: Ask) {
        let (reply, after) = match ask {
            Ask::Decide(command) => (Reply::Stored, self.command(now, endpoint, command)),
            Ask::Status => (Reply::Status(self.status(endpoint).map(Box::new)), None),
            Ask::All => {
                let endpoints = self.endpoints();
                let all = endpoints.filter_map(|e| Some((e.clone(), self.status(e)?)));
                (Reply::All(all.collect()), None)
            }
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
            Event::Registered { endpoint, new, .. } => {
                let device = self.devices.entry(endpoint.clone()).or_default();
                device.online = true;
                device.unsupported = None;
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
            Event::Updated { endpoint, .. } => {
                if let Some(device) = self.devices.get_mut(endpoint) {
                    device.online = true;
                    self.unpause(endpoint);
                    self.advance(now, endpoint);
                }
            }
            Event::Deregistered { endpoint, .. } => {
                if let Some(device) = self.devices.get_mut(endpoint) {
                    device.online = false;
                    device.view = View::default();
                    device.progress = None;
                    self.forget_request(endpoint);
                    self.changed(endpoint);
                }
            }
            Event::Notified { endpoint, path, .. } => self.notified(now, endpoint, path),
            Event::Progress { endpoint, id, sent, total } => {
                let Some(device) = self.devices.get_mut(endpoint) else { return };
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
            Event::Completed { endpoint, id, outcome } => {
                self.completed(now, endpoint, *id, outcome);
            }
            Event::Bootstrapped { .. } => {}
        }
    }

    fn notified(&mut self, now: Now, endpoint: &Endpoint, path: &Path) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        match path.object_id() {
            Some(5) => device.view.firmware = None,
            Some(slot::OBJECT) => device.view.slots = None,
            _ => return,
        }
        self.unpause(endpoint);
        self.advance(now, endpoint);
    }

    /// An operator decided. The decision holds once the batch that is named is durable.
    pub fn command(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        command: Command,
    ) -> Option<PersistId> {
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
            Command::Want { model, version, source, trial_s } => {
                record.note(now.wall, format!("wanted: {model} {version}"));
                let since = now.wall;
                record.desired =
                    Some(Desired { model, version, source, generation, since, trial_s });
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
        device.view = View { observed: device.view.observed, ..View::default() };
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
        let Some(endpoint) = self.persists.remove(&id) else { return };
        if let Some(device) = self.devices.get_mut(&endpoint)
            && device.storing == Some(id)
        {
            device.storing = None;
        }
        self.advance(now, &endpoint);
    }

    /// A batch could not be stored: nothing that depends on it is sent, and it is tried again.
    pub fn persist_failed(&mut self, now: Now, id: PersistId) {
        let Some(endpoint) = self.persists.remove(&id) else { return };
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
        let Some(endpoint) = self.jobs.remove(&id) else { return };
        let Some(device) = self.devices.get_mut(&endpoint) else { return };
        if device.job != Some(id) {
            return;
        }
        device.job = None;
        let Some(attempt) = &mut device.record.attempt else { return };
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
            JobResult::Packaged(Ok(body)) => {
                let package = (Digest::of(&body), body.len() as u32);
                device.dirty |= attempt.package != Some(package);
                attempt.package = Some(package);
                device.body = Some(body);
            }
            JobResult::Packaged(Err(reason)) => {
                self.finish(now, &endpoint, Some(Failure::Build { reason }));
            }
        }
        self.advance(now, &endpoint);
    }

    fn completed(&mut self, now: Now, endpoint: &Endpoint, id: RequestId, outcome: &Outcome) {
        if self.requests.remove(&id).is_none() {
            return;
        }
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        let Some((_, asked)) = device.asked.take_if(|(asked, _)| *asked == id) else { return };
        if asked == Asked::Push {
            device.progress = None;
            device.view.firmware = None;
            device.view.slots = None;
        }
        match outcome {
            Outcome::Content(values) => self.content(now, endpoint, &asked, values),
            Outcome::Done | Outcome::Links(_) => self.done(now, endpoint, &asked),
            Outcome::NotRegistered => device.online = false,
            Outcome::TimedOut { .. } | Outcome::Cancelled(_) | Outcome::Expired => {
                device.view.firmware = None;
                device.view.slots = None;
                self.pause(now, endpoint);
            }
            Outcome::Rejected { .. } | Outcome::Reset | Outcome::Malformed(_) => {
                let answer = describe(outcome);
                self.refused(now, endpoint, &asked, answer);
            }
        }
        self.advance(now, endpoint);
    }

    fn content(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        asked: &Asked,
        values: &[(Path, OwnedValue)],
    ) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        let value = |path: Path| values.iter().find(|(p, _)| *p == path).map(|(_, v)| v);
        let problem = match asked {
            Asked::Digest => {
                let bytes = value(Path::resource(27300, 0, 13)).and_then(OwnedValue::as_bytes);
                match bytes.and_then(|b| <[u8; 16]>::try_from(b).ok()) {
                    Some(digest) => {
                        device.view.digest = Some(digest);
                        None
                    }
                    None => Some("no 16 bytes".to_owned()),
                }
            }
            Asked::Capability(object) => {
                device.gathered.extend_from_slice(values);
                if *object < CAPABILITY[CAPABILITY.len() - 1] {
                    return self.read_capability(now, endpoint, object + 1);
                }
                match Capability::from_values(&std::mem::take(&mut device.gathered)) {
                    Ok(capability) => {
                        let digest = capability.digest();
                        if device.view.digest == Some(digest) {
                            device.record.capability = Some(KnownCapability { digest, capability });
                            device.record.note(now.wall, "read the capability objects");
                            device.dirty = true;
                            None
                        } else {
                            Some("values whose digest is not that of /27300/0/13".to_owned())
                        }
                    }
                    Err(error) => Some(error.to_string()),
                }
            }
            Asked::Slots => match slot::slots(values) {
                Ok(slots) => {
                    device.dirty |= device.record.slots != slots;
                    device.record.slots.clone_from(&slots);
                    device.view.slots = Some(slots);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Asked::Firmware => {
                let number = |r| value(Path::resource(5, 0, r)).and_then(OwnedValue::as_i64);
                match (number(3).and_then(State::from_value), number(5)) {
                    (Some(state), Some(result)) => {
                        device.view.firmware = Some((state, result));
                        note_transfer(&mut device.record, now, state);
                        None
                    }
                    _ => Some("no State and Update Result".to_owned()),
                }
            }
            Asked::Observe(_) => return self.done(now, endpoint, asked),
            Asked::Reset | Asked::Push | Asked::Install | Asked::Commit => None,
        };
        if let Some(answer) = problem {
            self.refused(now, endpoint, asked, answer);
        }
    }

    fn done(&mut self, now: Now, endpoint: &Endpoint, asked: &Asked) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        match asked {
            Asked::Observe(path) => {
                device.watching.retain(|p| p != path);
                device.view.observed = device.watching.is_empty();
                return;
            }
            Asked::Push => {
                if let Some(attempt) = &mut device.record.attempt {
                    attempt.pushed = true;
                    device.record.note(now.wall, "all blocks are sent");
                }
            }
            Asked::Install => {
                if let Some(attempt) = &mut device.record.attempt {
                    attempt.executed = true;
                    attempt.step = Step::Trial;
                }
                device.record.note(now.wall, "the device installs");
            }
            Asked::Commit => device.record.note(now.wall, "the device commits"),
            Asked::Reset => device.record.note(now.wall, "reset Object 5"),
            Asked::Digest | Asked::Capability(_) | Asked::Slots | Asked::Firmware => return,
        }
        device.dirty = true;
        device.view.firmware = None;
        device.view.slots = None;
    }

    /// A request was answered with an error or with something that makes no sense.
    fn refused(&mut self, now: Now, endpoint: &Endpoint, asked: &Asked, answer: String) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        device.record.note(now.wall, format!("{}: {answer}", describe_asked(asked)));
        device.dirty = true;
        device.view.firmware = None;
        device.view.slots = None;
        match asked {
            Asked::Digest => {
                let text = "the device has no Compute Platform object (27300)";
                device.unsupported = Some(format!("{text}: it can't run models"));
            }
            Asked::Observe(path) => {
                device.watching.retain(|p| p != path);
                device.view.observed = device.watching.is_empty();
                return;
            }
            // Errors of a Write are reported by the Update Result only (TS E.6.1).
            Asked::Push => {}
            Asked::Capability(_)
            | Asked::Slots
            | Asked::Firmware
            | Asked::Reset
            | Asked::Install
            | Asked::Commit => {
                device.view.digest = None;
            }
        }
        let request = describe_asked(asked).to_owned();
        let Some(attempt) = &mut device.record.attempt else {
            device.strikes += 1;
            if device.strikes >= TRIES {
                device.unsupported = Some(format!("{request} is answered with {answer}"));
            }
            return self.pause(now, endpoint);
        };
        if *asked == Asked::Push {
            attempt.pushed = true;
            attempt.rejected = attempt.rejected.saturating_add(1);
            return self.pause(now, endpoint);
        }
        attempt.tries = attempt.tries.saturating_add(1);
        if attempt.tries >= TRIES {
            self.finish(now, endpoint, Some(Failure::Device { request, answer }));
        } else {
            self.pause(now, endpoint);
        }
    }

    fn advance(&mut self, now: Now, endpoint: &Endpoint) {
        // Every pass either ends, or changes what `next` sees.
        for _ in 0..16 {
            let Some(device) = self.devices.get_mut(endpoint) else { return };
            let waits = device.asked.is_some()
                || device.job.is_some()
                || device.storing.is_some()
                || device.wake.is_some();
            if waits {
                return;
            }
            if !device.online || device.unsupported.is_some() {
                break;
            }
            let step = next(&device.record, &device.view, now.wall);
            if !self.perform(now, endpoint, step) {
                break;
            }
        }
        self.store(endpoint);
    }

    /// Does one step; true if the next one can be found at once.
    fn perform(&mut self, now: Now, endpoint: &Endpoint, step: Next) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else { return false };
        let read = |path| Operation::Read { path };
        match step {
            Next::Nothing => return false,
            Next::ReadDigest => {
                self.request(now, endpoint, Asked::Digest, read(Path::resource(27300, 0, 13)));
            }
            Next::ReadCapability => {
                device.gathered.clear();
                self.read_capability(now, endpoint, CAPABILITY[0]);
            }
            Next::ReadSlots => {
                self.request(now, endpoint, Asked::Slots, read(Path::object(slot::OBJECT)));
            }
            Next::ReadFirmware => {
                self.request(now, endpoint, Asked::Firmware, read(Path::instance(5, 0)));
            }
            Next::Open => {
                open(&mut device.record, now, device.view.firmware);
                device.dirty = true;
                self.changed(endpoint);
                return true;
            }
            Next::Number => {
                let record = &mut device.record;
                record.sequence = (record.sequence + 1).max(now.wall / 1000);
                if let Some(attempt) = &mut record.attempt {
                    attempt.sequence = Some(record.sequence);
                }
                device.dirty = true;
                return true;
            }
            Next::Observe => {
                if device.watching.is_empty() {
                    device.watching = vec![Path::resource(5, 0, 3), Path::resource(5, 0, 5)];
                    let slots = device.view.slots.iter().flatten();
                    device
                        .watching
                        .extend(slots.map(|s| Path::resource(slot::OBJECT, s.instance, 7)));
                }
                let path = device.watching[0];
                self.request(now, endpoint, Asked::Observe(path), Operation::Observe { path });
            }
            Next::Build => {
                let Some((desired, known)) =
                    device.record.desired.as_ref().zip(device.record.capability.as_ref())
                else {
                    return false;
                };
                let job = Job::Build {
                    model: desired.model.clone(),
                    source: desired.source,
                    capability: Arc::new(known.capability.clone()),
                };
                self.start(endpoint, job);
            }
            Next::Wait(step) => {
                if let Some(attempt) = &mut device.record.attempt
                    && attempt.step != step
                {
                    attempt.step = step;
                    device.dirty = true;
                }
                device.view.firmware = None;
                device.view.slots = None;
                self.pause(now, endpoint);
            }
            Next::Push { from } => return self.push(now, endpoint, from),
            Next::Reset => {
                if self.stored(endpoint, Step::Preparing) {
                    let path = Path::resource(5, 0, 1);
                    let values = vec![(path, OwnedValue::String(String::new()))];
                    let operation = Operation::Write { path, values, replace: true };
                    self.request(now, endpoint, Asked::Reset, operation);
                }
            }
            Next::Install => {
                if self.stored(endpoint, Step::Installing) {
                    let path = Path::resource(5, 0, 2);
                    let operation = Operation::Execute { path, arguments: String::new() };
                    self.request(now, endpoint, Asked::Install, operation);
                }
            }
            Next::Commit { slot } => {
                if self.stored(endpoint, Step::Committing) {
                    let path = Path::resource(slot::OBJECT, slot, 10);
                    let operation = Operation::Execute { path, arguments: String::new() };
                    self.request(now, endpoint, Asked::Commit, operation);
                }
            }
            Next::Succeed => {
                self.finish(now, endpoint, None);
                return true;
            }
            Next::Fail(failure) => {
                let tries = device.record.attempt.as_mut().map_or(TRIES, |attempt| {
                    attempt.tries = attempt.tries.saturating_add(1);
                    attempt.tries
                });
                let again = matches!(failure, Failure::Update { result } if firmware::transient(result));
                if again && tries < TRIES {
                    device.record.note(now.wall, format!("{failure}; trying again"));
                    if let Some(attempt) = &mut device.record.attempt {
                        attempt.pushed = false;
                    }
                    device.dirty = true;
                    device.view.firmware = None;
                    self.pause(now, endpoint);
                } else {
                    self.finish(now, endpoint, Some(failure));
                    return true;
                }
            }
        }
        false
    }

    fn read_capability(&mut self, now: Now, endpoint: &Endpoint, object: u16) {
        let operation = Operation::Read { path: Path::object(object) };
        self.request(now, endpoint, Asked::Capability(object), operation);
    }

    fn push(&mut self, now: Now, endpoint: &Endpoint, from: u32) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else { return false };
        let Some(body) = device.body.clone() else {
            let Some(job) = package_job(&device.record) else { return false };
            self.start(endpoint, Job::Package(job));
            return false;
        };
        let result = device.view.firmware.map_or(0, |(_, result)| result);
        if let Some(attempt) = &mut device.record.attempt
            && !attempt.pushed
            && attempt.result_before != result
        {
            attempt.result_before = result;
            device.dirty = true;
        }
        if !self.stored(endpoint, Step::Sending) {
            return false;
        }
        let Some(device) = self.devices.get_mut(endpoint) else { return false };
        let Some((package, _)) = device.record.attempt.as_ref().and_then(|a| a.package) else {
            return false;
        };
        let from = from / 1024 * 1024;
        if device.record.attempt.as_ref().is_some_and(|attempt| attempt.rejected > REJECTIONS) {
            let request = describe_asked(&Asked::Push).to_owned();
            let answer = "errors, again and again".to_owned();
            self.finish(now, endpoint, Some(Failure::Device { request, answer }));
            return true;
        }
        if from > 0 {
            device.record.note(now.wall, format!("the transfer goes on at byte {from}"));
        }
        let path = Path::resource(5, 0, 0);
        let operation = Operation::Push { path, body, from, tag: package.tag() };
        self.request(now, endpoint, Asked::Push, operation);
        false
    }

    /// Sets the step and says whether everything is stored; if not, stores it first.
    fn stored(&mut self, endpoint: &Endpoint, step: Step) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else { return false };
        if let Some(attempt) = &mut device.record.attempt
            && attempt.step != step
        {
            attempt.step = step;
            device.dirty = true;
        }
        if device.dirty {
            self.store(endpoint);
            return false;
        }
        true
    }

    fn store(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
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
        device.dirty = false;
        device.storing = Some(id);
        self.persists.insert(id, endpoint.clone());
        self.output.push_back(Output::Persist(id, Batch::put(Self::key(endpoint), record)));
        self.changed(endpoint);
    }

    fn request(&mut self, now: Now, endpoint: &Endpoint, asked: Asked, operation: Operation) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
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
        }));
    }

    fn start(&mut self, endpoint: &Endpoint, job: Job) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        self.count += 1;
        let id = JobId(self.count);
        device.job = Some(id);
        self.jobs.insert(id, endpoint.clone());
        self.output.push_back(Output::Job(endpoint.clone(), id, job));
    }

    fn finish(&mut self, now: Now, endpoint: &Endpoint, failure: Option<Failure>) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        let record = &mut device.record;
        let Some(desired) = &record.desired else { return };
        let attempt = record.attempt.take();
        let text = match &failure {
            None => format!("{} {} is installed", desired.model, desired.version),
            Some(failure) => failure.to_string(),
        };
        record.last = Some(Finished {
            generation: desired.generation,
            capability: record.capability.as_ref().map_or([0; 16], |known| known.digest),
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
        let Some(device) = self.devices.get(endpoint) else { return };
        let unsupported = device.unsupported.as_deref();
        let (summary, detail) = summarise(&device.record, device.online, unsupported);
        let (endpoint, progress) = (endpoint.to_string(), device.progress);
        self.output.push_back(Output::Changed(Change { endpoint, summary, detail, progress }));
    }

    fn forget_request(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        if let Some((id, _)) = device.asked.take() {
            self.requests.remove(&id);
            self.output.push_back(Output::Withdraw(endpoint.clone(), id));
        }
        device.watching.clear();
    }

    fn pause(&mut self, now: Now, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        device.pause = (device.pause * 2).clamp(PAUSE.0, PAUSE.1);
        let at = now.mono + device.pause;
        if let Some(old) = device.wake.replace(at) {
            self.wakes.remove(&(old, endpoint.clone()));
        }
        self.wakes.insert((at, endpoint.clone()));
        self.store(endpoint);
    }

    fn unpause(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else { return };
        device.pause = 0;
        if let Some(old) = device.wake.take() {
            self.wakes.remove(&(old, endpoint.clone()));
        }
    }
}

fn open(record: &mut DeviceRecord, now: Now, firmware: Option<(State, i64)>) {
    let Some(desired) = &record.desired else { return };
    let id = record.sequence.wrapping_add(now.wall);
    record.attempt = Some(Attempt {
        id,
        generation: desired.generation,
        step: Step::Building,
        started: now.wall,
        deadline: now.wall + ATTEMPT,
        artefact: None,
        sequence: None,
        package: None,
        result_before: firmware.map_or(0, |(_, result)| result),
        pushed: false,
        executed: false,
        tries: 0,
        rejected: 0,
        transfer_started: None,
        transfer_ms: None,
    });
}

fn package_job(record: &DeviceRecord) -> Option<PackageJob> {
    let attempt = record.attempt.as_ref()?;
    let desired = record.desired.as_ref()?;
    let known = record.capability.as_ref()?;
    Some(PackageJob {
        model: desired.model.clone(),
        version: desired.version.clone(),
        source: desired.source,
        artefact: attempt.artefact.clone()?,
        capability_digest: known.digest,
        abi: u32::try_from(known.capability.platform.runtime_abi_version).ok()?,
        sequence: attempt.sequence?,
        trial_s: desired.trial_s,
    })
}

fn note_transfer(record: &mut DeviceRecord, now: Now, state: State) {
    if let Some(attempt) = &mut record.attempt
        && state != State::Downloading
        && attempt.transfer_ms.is_none()
        && let Some(started) = attempt.transfer_started
    {
        attempt.transfer_ms = Some(now.wall.saturating_sub(started));
    }
}

fn describe_asked(asked: &Asked) -> &'static str {
    match asked {
        Asked::Digest => "Read /27300/0/13",
        Asked::Capability(27300) => "Read /27300",
        Asked::Capability(27301) => "Read /27301",
        Asked::Capability(_) => "Read /27302",
        Asked::Slots => "Read /27303",
        Asked::Firmware => "Read /5/0",
        Asked::Observe(_) => "Observe",
        Asked::Reset => "Write /5/0/1",
        Asked::Push => "Write /5/0/0",
        Asked::Install => "Execute /5/0/2",
        Asked::Commit => "Execute /27303/x/10",
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected { code, diagnostic } if diagnostic.is_empty() => {
            format!("{}.{:02}", code >> 5, code & 31)
        }
        Outcome::Rejected { code, diagnostic } => {
            format!("{}.{:02} ({diagnostic})", code >> 5, code & 31)
        }
        Outcome::Reset => "Reset".into(),
        Outcome::Malformed(text) => format!("something unreadable: {text}"),
        other => format!("{other:?}"),
    }
}
