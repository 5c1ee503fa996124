//! Devices that trust other keys than they shall are sent trust anchors, signed with a key that
//! they trust.

use lwm2m_objects::hex;
use tinsmith_lwm2m::{Endpoint, Now, Operation};
use tinsmith_order::{Anchors, AnchorsJob, Job, KeyId, Package, Unbuilt, next_sequence};

use super::device::{Asked, Device};
use super::{Reconciler, TRIES};
use crate::firmware;

/// Milliseconds from one device that is told of new anchors to the next.
const APART: u64 = 5;

impl Reconciler {
    /// The trust anchors that devices shall have, as they are from now on. Those that are there and
    /// trust one of them are told, one after the other. With none, devices keep what they have.
    pub fn set_anchors(&mut self, now: Now, anchors: Anchors) {
        if self.anchors == anchors {
            return;
        }
        self.anchors = anchors;
        let mut at = now.mono;
        for (endpoint, device) in &mut self.devices {
            device.anchor_tries = 0;
            device.set_anchors(None);
            if !device.online || device.wake.is_some() || !is_stale(device, &self.anchors) {
                continue;
            }
            device.wake = Some(at);
            self.wakes.insert((at, endpoint.clone()));
            at += APART;
        }
    }

    pub(super) fn send_anchors(&mut self, now: Now, endpoint: &Endpoint) -> bool {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return false;
        };
        let Some((body, tag)) = device.anchors().cloned() else {
            let record = &mut device.record;
            let digest = record.capability.as_ref();
            let Some(capability) = digest.and_then(|digest| self.capabilities.get(digest)) else {
                return self.read_again(endpoint);
            };
            record.sequence = next_sequence(record.sequence, now.wall / 1000, false);
            device.dirty = true;
            let job = AnchorsJob {
                anchors: self.anchors.clone(),
                capability_digest: record.capability.unwrap_or_default(),
                abi: u32::try_from(capability.platform.runtime_abi_version).unwrap_or_default(),
                sequence: record.sequence,
                algorithms: capability.platform.signature_algorithms.clone(),
                trusted: device.view.trusted.clone().unwrap_or_default(),
            };
            self.start(endpoint, Job::Anchors(job));
            return false;
        };
        if device.dirty {
            self.store(endpoint);
            return false;
        }
        let operation = Operation::Push {
            path: firmware::PACKAGE,
            body,
            from: 0,
            tag,
        };
        self.request(now, endpoint, Asked::Anchors, operation);
        false
    }

    /// The package is made, or can't be.
    pub(super) fn anchors_packaged(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        result: Result<Package, Unbuilt>,
    ) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        match result {
            Ok(package) => device.set_anchors(device.online.then_some(package)),
            Err(why) => {
                device.anchor_tries = TRIES;
                let text = format!("its trust anchors can't be changed: {why}");
                device.dirty |= device.record.note_once(now.wall, text);
            }
        }
    }

    /// The device has taken them.
    pub(super) fn anchors_taken(&mut self, now: Now, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        let ids: Vec<String> = self
            .anchors
            .ids()
            .iter()
            .map(|id| hex::encode(id))
            .collect();
        device.record.note(
            now.wall,
            format!("it trusts {} from now on", ids.join(", ")),
        );
        device.dirty = true;
        device.anchor_tries = 0;
        // What was made for the keys before is made again, with a number above that of the anchors.
        if let Some(attempt) = &mut device.record.attempt {
            attempt.sequence = None;
            attempt.package = None;
        }
        device.set_body(None);
    }
}

/// Whether a device trusts other keys than it shall, and one of those that it shall trust can tell
/// it so.
pub(super) fn is_stale(device: &Device, anchors: &Anchors) -> bool {
    let Some(trusted) = &device.view.trusted else {
        return false;
    };
    let wanted = anchors.ids();
    let all = |ids: &[KeyId], of: &[KeyId]| ids.iter().all(|id| of.contains(id));
    device.anchor_tries < TRIES
        && trusted.iter().any(|id| wanted.contains(id))
        && !(all(trusted, wanted) && all(wanted, trusted))
}
