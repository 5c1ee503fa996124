//! What the answers of a device mean.

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path};

use super::device::Asked;
use super::fault::{Fault, Kind};
use super::{LATER, Reconciler, TRIES};
use crate::capabilities;
use crate::firmware;
use crate::firmware::State;
use crate::next::View;
use crate::record::{DeviceRecord, Failure, Step};
use crate::slot;
use tinsmith_lwm2m::{Endpoint, Now, Outcome, PathValue, RequestId};

impl Reconciler {
    pub(super) fn completed(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        id: RequestId,
        outcome: &Outcome,
    ) {
        if self.requests.remove(&id).is_none() {
            return;
        }
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let Some((_, asked)) = device.asked.take_if(|(asked, _)| *asked == id) else {
            return;
        };
        if asked == Asked::Push {
            device.set_progress(None);
            device.view.firmware = None;
            device.view.slots = None;
        }
        if asked == Asked::Anchors {
            device.set_anchors(None);
            device.view = View {
                digest: device.view.digest,
                observed: device.view.observed,
                ..View::default()
            };
        }
        match outcome {
            Outcome::Content(values) => self.content(now, endpoint, &asked, values),
            Outcome::Done | Outcome::Links(_) => self.done(now, endpoint, &asked),
            Outcome::NotRegistered => {
                device.online = false;
                device.set_body(None);
            }
            Outcome::TimedOut { .. } | Outcome::Cancelled(_) | Outcome::Expired => {
                device.set_body(None);
                device.view.firmware = None;
                device.view.slots = None;
                self.pause(now, endpoint);
            }
            Outcome::Rejected { .. }
            | Outcome::Unavailable { .. }
            | Outcome::NotObserved(_)
            | Outcome::Reset
            | Outcome::Malformed(_)
            | Outcome::Unit(_) => {
                self.refused(now, endpoint, &asked, Fault::of(outcome));
            }
        }
        self.advance(now, endpoint);
    }

    pub(super) fn content(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        asked: &Asked,
        values: &[PathValue],
    ) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let value = |path: Path| values.iter().find(|v| v.path == path).map(|v| &v.value);
        let problem = match asked {
            Asked::Digest => {
                let bytes = value(capabilities::DIGEST).and_then(OwnedValue::as_bytes);
                match bytes.and_then(|b| <[u8; 16]>::try_from(b).ok()) {
                    Some(digest) => {
                        device.view.digest = Some(digest);
                        None
                    }
                    None => Some("no 16 bytes".to_owned()),
                }
            }
            Asked::Trusted => {
                let ids = values.iter().filter_map(|v| v.value.as_bytes());
                device.view.trusted = Some(ids.filter_map(|id| id.try_into().ok()).collect());
                None
            }
            Asked::Capability(object) => {
                let pairs = values.iter().map(|v| (v.path, v.value.clone()));
                device.gather(pairs);
                if let Some(next) = capabilities::after(*object) {
                    return self.read_capability(now, endpoint, next);
                }
                match Capability::from_values(&device.gathered()) {
                    Ok(capability) if device.view.digest == Some(capability.digest()) => {
                        return self.learn(now, endpoint, capability);
                    }
                    Ok(_) => Some("values whose digest is not that of /27300/0/13".to_owned()),
                    Err(error) => Some(error.to_string()),
                }
            }
            Asked::Slots => match slot::slots(values) {
                Ok(slots) => {
                    if let Some(floor) = slot::floor(values) {
                        device.tells_floor = true;
                        device.dirty |= floor > device.record.sequence;
                        device.record.sequence = device.record.sequence.max(floor);
                    }
                    device.dirty |= device.record.slots != slots;
                    device.record.slots.clone_from(&slots);
                    device.view.slots = Some(slots);
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Asked::Firmware => {
                let number = |path| value(path).and_then(OwnedValue::as_i64);
                let state = number(firmware::STATE).and_then(State::from_number);
                match (state, number(firmware::RESULT)) {
                    (Some(state), Some(result)) => {
                        device.view.firmware = Some((state, result));
                        note_transfer(&mut device.record, now, state);
                        None
                    }
                    _ => Some("no State and Update Result".to_owned()),
                }
            }
            Asked::Observe(_) => return self.done(now, endpoint, asked),
            Asked::Reset
            | Asked::Anchors
            | Asked::Push
            | Asked::Install
            | Asked::Activate
            | Asked::Commit => None,
        };
        if let Some(problem) = problem {
            self.refused(now, endpoint, asked, Fault::nonsense(problem));
        }
    }

    fn learn(&mut self, now: Now, endpoint: &Endpoint, capability: Capability) {
        if self.capabilities.is_full() {
            let devices = &self.devices;
            let forgotten = self.capabilities.retain(|digest| {
                devices
                    .values()
                    .any(|device| device.record.capability == Some(*digest))
            });
            if let Some(device) = self.devices.get_mut(endpoint) {
                device.store_too(forgotten);
                device.dirty = true;
            }
        }
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if self.capabilities.is_full() {
            let most = capabilities::MAX;
            device.unsupported =
                Some(format!("there are more than {most} kinds of devices").into());
            return;
        }
        let digest = capability.digest();
        match self.capabilities.learn(capability) {
            Ok(ops) => device.store_too(ops),
            Err(error) => tracing::error!(%error, "bug: a capability can't be encoded"),
        }
        device.record.capability = Some(digest);
        device.record.note(now.wall, "read the capability objects");
        device.dirty = true;
    }

    pub(super) fn done(&mut self, now: Now, endpoint: &Endpoint, asked: &Asked) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        match asked {
            Asked::Observe(path) => {
                device.view.observed = device.watched(*path);
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
            Asked::Activate => {
                if let Some(attempt) = &mut device.record.attempt {
                    attempt.executed = true;
                    attempt.step = Step::Trial;
                }
                let text = "the device activates the module that it has";
                device.record.note(now.wall, text);
            }
            Asked::Anchors => return self.anchors_taken(now, endpoint),
            Asked::Commit => device.record.note(now.wall, "the device commits"),
            Asked::Reset => device.record.note(now.wall, "reset Object 5"),
            Asked::Digest
            | Asked::Trusted
            | Asked::Capability(_)
            | Asked::Slots
            | Asked::Firmware => return,
        }
        device.dirty = true;
        device.view.firmware = None;
        device.view.slots = None;
    }

    /// A request was answered with an error or with something that makes no sense. What may be
    /// answered later is asked again, ever more rarely; what is refused or makes no sense three
    /// times in a row is taken for the device's last word.
    pub(super) fn refused(&mut self, now: Now, endpoint: &Endpoint, asked: &Asked, fault: Fault) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let Fault { kind, text: answer } = fault;
        if *asked == Asked::Anchors {
            device.anchor_tries = device.anchor_tries.saturating_add(1);
            let text = format!("{asked}: {answer}");
            device.dirty |= device.record.note_once(now.wall, text);
            return self.pause(now, endpoint);
        }
        if *asked == Asked::Trusted && matches!(kind, Kind::Refusal) {
            // It has none, or does not tell.
            device.view.trusted = Some(Vec::new());
            return;
        }
        let request = asked.to_string();
        device.dirty |= device
            .record
            .note_once(now.wall, format!("{request}: {answer}"));
        device.view.firmware = None;
        device.view.slots = None;
        match asked {
            Asked::Observe(path) => {
                device.view.observed = device.watched(*path);
                return;
            }
            // Errors of a Write are reported by the Update Result only (TS E.6.1).
            Asked::Push | Asked::Digest | Asked::Trusted => {}
            Asked::Capability(_)
            | Asked::Slots
            | Asked::Firmware
            | Asked::Anchors
            | Asked::Reset
            | Asked::Install
            | Asked::Activate
            | Asked::Commit => {
                device.view.digest = None;
            }
        }
        if let Kind::Later(after) = kind
            && *asked != Asked::Push
        {
            let first = after.unwrap_or(0).max(LATER.0);
            return self.back_off(now, endpoint, (first, first.max(LATER.1)));
        }
        let Some(attempt) = &mut device.record.attempt else {
            device.strikes += 1;
            if device.strikes >= TRIES {
                device.unsupported = Some(format!("{request} is answered with {answer}").into());
            }
            return self.back_off(now, endpoint, LATER);
        };
        if *asked == Asked::Push {
            attempt.pushed = true;
            attempt.rejected = attempt.rejected.saturating_add(1);
            return self.pause(now, endpoint);
        }
        if *asked == Asked::Activate {
            attempt.resend = true;
            return self.pause(now, endpoint);
        }
        attempt.tries = attempt.tries.saturating_add(1);
        if attempt.tries >= TRIES {
            self.finish(now, endpoint, Some(Failure::Device { request, answer }));
        } else {
            self.pause(now, endpoint);
        }
    }
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
