//! Carrying out the next step of a device.

use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path};

use super::anchors::is_stale;
use super::device::Asked;
use super::{Reconciler, TRIES};
use crate::capabilities::{self, Capabilities};
use crate::firmware::{self, State};
use crate::next::{Next, next};
use crate::record::{Attempt, DeviceRecord, Failure, Step};
use crate::slot;
use tinsmith_lwm2m::{Endpoint, Now, Operation};
use tinsmith_order::{Artefact, Job, KeyId, PackageJob, next_sequence};

/// The Update Result of a package whose sequence number is not above the device's floor, and of
/// a trial that failed.
const TOO_LOW: i64 = 8;
/// An attempt is given up after this time (ms).
const ATTEMPT: u64 = 24 * 3_600_000;
/// Pushes that end with an error and without progress, after which an attempt is given up.
const REJECTIONS: u8 = 8;

impl Reconciler {
    pub(super) fn advance(&mut self, now: Now, endpoint: &Endpoint) {
        // Every pass either ends, or changes what `next` sees.
        for _ in 0..16 {
            let Some(device) = self.devices.get_mut(endpoint) else {
                return;
            };
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
            let known = capability(&device.record, &self.capabilities);
            device.view.verifies =
                known.is_some_and(|c| !c.platform.signature_algorithms.is_empty());
            device.view.stale = is_stale(device, &self.anchors);
            let step = next(&device.record, &device.view, now.wall);
            if !self.perform(now, endpoint, step) {
                break;
            }
        }
        self.store(endpoint);
        self.sweep(endpoint);
    }

    /// Does one step; true if the next one can be found at once.
    pub(super) fn perform(&mut self, now: Now, endpoint: &Endpoint, step: Next) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
        let read = |path: Path| Operation::read(path);
        match step {
            Next::Nothing => return false,
            Next::ReadDigest => {
                self.request(now, endpoint, Asked::Digest, read(capabilities::DIGEST));
            }
            Next::ReadCapability => {
                if let Some(digest) = device.view.digest
                    && self.capabilities.get(&digest).is_some()
                {
                    device.record.capability = Some(digest);
                    device.dirty = true;
                    return true;
                }
                device.gathered();
                self.read_capability(now, endpoint, capabilities::OBJECTS[0]);
            }
            Next::ReadSlots => {
                self.request(
                    now,
                    endpoint,
                    Asked::Slots,
                    read(Path::object(slot::OBJECT)),
                );
            }
            Next::ReadTrusted => {
                let path = capabilities::TRUSTED;
                self.request(now, endpoint, Asked::Trusted, read(path));
            }
            Next::SendAnchors => return self.send_anchors(now, endpoint),
            Next::ReadFirmware => {
                self.request(now, endpoint, Asked::Firmware, read(firmware::OBJECT));
            }
            Next::Open => {
                open(&mut device.record, now, device.view.firmware);
                device.dirty = true;
                self.changed(endpoint);
                return true;
            }
            Next::Number => {
                let record = &mut device.record;
                let last = record.last.as_ref().and_then(|last| last.failure.as_ref());
                let refused = matches!(last, Some(Failure::Update { result: TOO_LOW }))
                    && !device.tells_floor;
                record.sequence = next_sequence(record.sequence, now.wall / 1000, refused);
                if let Some(attempt) = &mut record.attempt {
                    attempt.sequence = Some(record.sequence);
                }
                device.dirty = true;
                return true;
            }
            Next::Observe => {
                let slots = device.view.slots.iter().flatten();
                let slots: Vec<_> = slots.map(|s| slot::state(s.instance)).collect();
                let own = [firmware::STATE, firmware::RESULT].into_iter();
                let Some(path) = device.watch(own.chain(slots)) else {
                    return false;
                };
                self.request(
                    now,
                    endpoint,
                    Asked::Observe(path),
                    Operation::observe(path),
                );
            }
            Next::Build => {
                let Some(desired) = &device.record.desired else {
                    return false;
                };
                let Some(capability) = capability(&device.record, &self.capabilities) else {
                    return self.read_again(endpoint);
                };
                let job = Job::Build {
                    model: desired.model.clone(),
                    version: desired.version.clone(),
                    source: desired.source,
                    capability,
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
                    let path = firmware::PACKAGE_URI;
                    let values = vec![(path, OwnedValue::String(String::new()))];
                    let operation = Operation::write(path, values, true);
                    self.request(now, endpoint, Asked::Reset, operation);
                }
            }
            Next::Install => {
                if self.stored(endpoint, Step::Installing) {
                    let operation = Operation::Execute {
                        path: firmware::UPDATE,
                        arguments: String::new(),
                    };
                    self.request(now, endpoint, Asked::Install, operation);
                }
            }
            Next::Activate { slot } => {
                let trial_s = device.record.desired.as_ref().map_or(0, |d| d.trial_s);
                if self.stored(endpoint, Step::Installing) {
                    let operation = Operation::Execute {
                        path: slot::activate(slot),
                        arguments: format!("0='{trial_s}'"),
                    };
                    self.request(now, endpoint, Asked::Activate, operation);
                }
            }
            Next::Commit { slot } => {
                if self.stored(endpoint, Step::Committing) {
                    let operation = Operation::Execute {
                        path: slot::commit(slot),
                        arguments: String::new(),
                    };
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
                let again =
                    matches!(failure, Failure::Update { result } if firmware::transient(result));
                if again && tries < TRIES {
                    device
                        .record
                        .note(now.wall, format!("{failure}; trying again"));
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

    pub(super) fn read_capability(&mut self, now: Now, endpoint: &Endpoint, object: u16) {
        let operation = Operation::read(Path::object(object));
        self.request(now, endpoint, Asked::Capability(object), operation);
    }

    pub(super) fn push(&mut self, now: Now, endpoint: &Endpoint, from: u32) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
        let Some(body) = device.body().cloned() else {
            let trusted = device.view.trusted.as_deref();
            let Some(job) = package_job(&device.record, &self.capabilities, trusted) else {
                return self.read_again(endpoint);
            };
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
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
        let Some((package, _)) = device.record.attempt.as_ref().and_then(|a| a.package) else {
            return false;
        };
        let from = from / 1024 * 1024;
        if device
            .record
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.rejected > REJECTIONS)
        {
            let request = Asked::Push.to_string();
            let answer = "errors, again and again".to_owned();
            self.finish(now, endpoint, Some(Failure::Device { request, answer }));
            return true;
        }
        if from > 0 {
            device
                .record
                .note(now.wall, format!("the transfer goes on at byte {from}"));
        }
        let operation = Operation::Push {
            path: firmware::PACKAGE,
            body,
            from,
            tag: package.tag(),
        };
        self.request(now, endpoint, Asked::Push, operation);
        false
    }

    /// The capability is not known any more: reads it again.
    pub(super) fn read_again(&mut self, endpoint: &Endpoint) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
        device.dirty |= device.record.capability.take().is_some();
        true
    }

    /// Sets the step and says whether everything is stored; if not, stores it first.
    pub(super) fn stored(&mut self, endpoint: &Endpoint, step: Step) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
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
}

fn open(record: &mut DeviceRecord, now: Now, firmware: Option<(State, i64)>) {
    let Some(desired) = &record.desired else {
        return;
    };
    // What the device does not have any more is built.
    let has = |artefact: &Artefact| {
        let mut slots = record.slots.iter();
        slots.any(|slot| slot.module == Some(artefact.module) && slot.state.holds_module())
    };
    let artefact = desired.artefact.clone().filter(has);
    let id = record.sequence.wrapping_add(now.wall);
    record.attempt = Some(Box::new(Attempt {
        id,
        generation: desired.generation,
        step: if artefact.is_some() {
            Step::Preparing
        } else {
            Step::Building
        },
        started: now.wall,
        deadline: now.wall + ATTEMPT,
        artefact,
        sequence: None,
        package: None,
        result_before: firmware.map_or(0, |(_, result)| result),
        pushed: false,
        executed: false,
        tries: 0,
        rejected: 0,
        transfer_started: None,
        transfer_ms: None,
        resend: false,
    }));
}

fn capability(record: &DeviceRecord, known: &Capabilities) -> Option<Arc<Capability>> {
    known.get(record.capability.as_ref()?).cloned()
}

fn package_job(
    record: &DeviceRecord,
    known: &Capabilities,
    trusted: Option<&[KeyId]>,
) -> Option<PackageJob> {
    let attempt = record.attempt.as_ref()?;
    let desired = record.desired.as_ref()?;
    let capability = capability(record, known)?;
    Some(PackageJob {
        model: desired.model.clone(),
        version: desired.version.clone(),
        source: desired.source,
        artefact: attempt.artefact.clone()?,
        capability_digest: record.capability?,
        abi: u32::try_from(capability.platform.runtime_abi_version).ok()?,
        sequence: attempt.sequence?,
        trial_s: desired.trial_s,
        algorithms: capability.platform.signature_algorithms.clone(),
        trusted: trusted.unwrap_or_default().to_vec(),
    })
}
