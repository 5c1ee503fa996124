//! What of a device is in the store: nothing, if nothing is wanted of it and nothing was done.

use super::{Output, Reconciler};
use crate::SCHEMA;
use tinsmith_lwm2m::{Endpoint, Now, PersistId};
use tinsmith_store::{self as store, Batch, Op};

impl Reconciler {
    /// A batch is durable.
    pub fn persisted(&mut self, now: Now, id: PersistId) {
        let Some(endpoint) = self.persists.remove(&id) else {
            return;
        };
        if let Some(device) = self.devices.get_mut(&endpoint)
            && device.storing == Some(id)
        {
            device.storing = None;
            if std::mem::take(&mut device.deleting) {
                device.on_disk = false;
            }
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
            device.deleting = false;
            device.dirty = true;
        }
        self.wait(now, &endpoint, super::PAUSE);
    }

    /// Stores what differs from what is stored.
    pub(super) fn store(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if !device.dirty || device.storing.is_some() {
            return;
        }
        let keep = device.record.is_worth_keeping();
        let mut ops = Vec::new();
        if keep {
            match store::encode(SCHEMA, &device.record) {
                Ok(record) => ops.push(Op::Put(Self::key(endpoint), record)),
                Err(error) => {
                    tracing::error!(%endpoint, %error, "bug: a device record can't be encoded");
                    return;
                }
            }
        } else if device.on_disk {
            ops.push(Op::Delete(Self::key(endpoint)));
        }
        ops.append(&mut device.stored_too());
        device.dirty = false;
        if !ops.is_empty() {
            self.count += 1;
            let id = PersistId(self.count);
            device.storing = Some(id);
            device.deleting = !keep;
            device.on_disk |= keep;
            self.persists.insert(id, endpoint.clone());
            let batch = Batch {
                expect: Vec::new(),
                ops,
            };
            self.output.push_back(Output::Persist(id, batch));
        }
        self.changed(endpoint);
    }

    /// Forgets a device of which nothing is to be remembered.
    pub(super) fn sweep(&mut self, endpoint: &Endpoint) {
        if self.devices.get(endpoint).is_some_and(|d| d.is_nothing()) {
            self.unpause(endpoint);
            self.devices.remove(endpoint);
        }
    }

    /// Forgets everything of a device; the batch that is named makes it durable.
    pub(super) fn delete(&mut self, endpoint: &Endpoint) -> PersistId {
        self.forget_request(endpoint);
        self.unpause(endpoint);
        self.unreadable.remove(endpoint);
        let device = self.devices.remove(endpoint);
        if let Some(job) = device.and_then(|device| device.job) {
            self.jobs.remove(&job);
        }
        self.count += 1;
        let id = PersistId(self.count);
        let batch = Batch {
            expect: Vec::new(),
            ops: vec![Op::Delete(Self::key(endpoint))],
        };
        self.output.push_back(Output::Persist(id, batch));
        id
    }
}
