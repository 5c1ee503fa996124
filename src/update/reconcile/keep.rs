//! What of a device is in the store: nothing, if nothing is wanted of it and nothing was done.

use super::device::Device;
use super::{Output, Reconciler};
use crate::SCHEMA;
use crate::history::{self, PIECE};
use crate::record::DeviceRecord;
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
            device.filed();
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
            let mut filed = device.filed();
            device.record.pieces -= filed.chunks(PIECE).len() as u64;
            filed.append(&mut device.record.left);
            device.record.left = filed;
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
            file(endpoint, device, self.history, &mut ops);

            match store::encode(SCHEMA, &device.record) {
                Ok(record) => ops.push(Op::Put(Self::key(endpoint), record)),
                Err(error) => {
                    tracing::error!(%endpoint, %error, "bug: a device record can't be encoded");
                    return;
                }
            }
        } else if device.on_disk {
            ops.push(Op::Delete(Self::key(endpoint)));
            forget(endpoint, &mut device.record, self.history, &mut ops);
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

    /// As a step that changes nothing else.
    #[cfg(test)]
    pub(crate) fn note(&mut self, now: Now, endpoint: &Endpoint, text: &str) {
        if let Some(device) = self.devices.get_mut(endpoint) {
            device.record.note(now.wall, text);
            device.dirty = true;
        }
        self.store(endpoint);
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
        let mut ops = vec![Op::Delete(Self::key(endpoint))];
        if let Some(mut device) = self.devices.remove(endpoint) {
            forget(endpoint, &mut device.record, self.history, &mut ops);
            if let Some(job) = device.job {
                self.jobs.remove(&job);
            }
        }
        self.count += 1;
        let id = PersistId(self.count);
        let batch = Batch {
            expect: Vec::new(),
            ops,
        };
        self.output.push_back(Output::Persist(id, batch));
        id
    }
}

/// Pieces that are deleted with one that is added, so that a smaller bound is reached soon.
const DELETED: u64 = 8;

/// What has left the timeline becomes pieces; the oldest beyond the bound go.
fn file(endpoint: &str, device: &mut Device, bound: u64, ops: &mut Vec<Op>) {
    let left = std::mem::take(&mut device.record.left);
    if bound == 0 {
        return;
    }
    for piece in left.chunks(PIECE) {
        let pieces = &mut device.record.pieces;
        match history::encode(piece) {
            Ok(record) => ops.push(Op::Put(history::key(endpoint, *pieces), record)),
            Err(error) => tracing::error!(%error, "bug: a piece of history can't be encoded"),
        }
        *pieces += 1;
        let end = pieces.saturating_sub(bound);
        let gone = end.saturating_sub(DELETED)..end;
        ops.extend(gone.map(|piece| Op::Delete(history::key(endpoint, piece))));
    }
    device.file(left);
}

/// All pieces of a device go.
fn forget(endpoint: &str, record: &mut DeviceRecord, bound: u64, ops: &mut Vec<Op>) {
    let end = std::mem::take(&mut record.pieces);
    let gone = end.saturating_sub(bound + DELETED)..end;
    ops.extend(gone.map(|piece| Op::Delete(history::key(endpoint, piece))));
}
