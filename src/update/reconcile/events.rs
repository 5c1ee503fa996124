//! What the LwM2M core tells.

use lwm2m_objects::{Path, ids};

use super::Reconciler;
use super::device::{Asked, NO_PLATFORM, lacks_platform};
use crate::next::View;
use crate::slot;
use tinsmith_lwm2m::{Endpoint, Event, Now, Registration, RequestId};

impl Reconciler {
    /// Something happened to a device.
    pub fn event(&mut self, now: Now, event: &Event) {
        match event {
            Event::Registered {
                endpoint,
                registration,
                new,
            } => self.registered(now, endpoint, registration, *new),
            Event::Updated {
                endpoint,
                registration,
            } => self.updated(now, endpoint, registration),
            Event::Deregistered { endpoint, .. } => self.deregistered(endpoint),
            Event::Notified {
                endpoint, target, ..
            }
            | Event::Unreadable {
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
            } => self.progressed(now, endpoint, *id, (*sent, *total)),
            Event::Completed {
                endpoint,
                id,
                outcome,
            } => self.completed(now, endpoint, *id, outcome),
            Event::Reachable { .. } | Event::Bootstrapped { .. } | Event::Impostor { .. } => {}
        }
    }

    fn registered(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        registration: &Registration,
        new: bool,
    ) {
        if self.unreadable.contains_key(endpoint) {
            return;
        }
        let device = self.devices.entry(endpoint.clone()).or_default();
        device.online = true;
        device.unsupported = lacks_platform(registration);
        device.strikes = 0;
        device.anchor_tries = 0;
        device.set_anchors(None);
        device.view = View::default();
        if new && device.record.attempt.is_some() {
            device.record.note(now.wall, "registered");
            device.dirty = true;
        }
        self.forget_request(endpoint);
        self.unpause(endpoint);
        self.advance(now, endpoint);
    }

    fn updated(&mut self, now: Now, endpoint: &Endpoint, registration: &Registration) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
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

    fn deregistered(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        device.online = false;
        device.set_body(None);
        device.set_anchors(None);
        device.view = View::default();
        device.set_progress(None);
        self.forget_request(endpoint);
        self.changed(endpoint);
        self.store(endpoint);
        self.sweep(endpoint);
    }

    fn progressed(&mut self, now: Now, endpoint: &Endpoint, id: RequestId, progress: (u32, u32)) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if device.asked.as_ref().is_none_or(|(asked, _)| *asked != id) {
            return;
        }
        if matches!(device.asked, Some((_, Asked::Anchors))) {
            return;
        }
        device.set_progress(Some(progress));
        if let Some(attempt) = &mut device.record.attempt {
            device.dirty |= !attempt.pushed;
            attempt.pushed = true;
            attempt.rejected = 0;
            attempt.transfer_started.get_or_insert(now.wall);
            device.pause = 0;
        }
        self.changed(endpoint);
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
}
