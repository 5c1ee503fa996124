//! What is known of a device, and what is asked of it.

use std::borrow::Cow;
use std::fmt;

use lwm2m_objects::{OwnedValue, Path, ids};

use crate::capabilities;
use crate::firmware;
use crate::next::View;
use crate::record::{DeviceRecord, Entry};
use crate::slot;
use tinsmith_lwm2m::{Body, PersistId, Registration, RequestId};
use tinsmith_order::JobId;
use tinsmith_store::Op;

/// Why a device is left alone that has no Compute Platform.
pub(super) const NO_PLATFORM: &str =
    "the device has no Compute Platform object (27300): it can't run models";

/// What the device says it has is believed: nothing is read to find out.
pub(super) fn lacks_platform(registration: &Registration) -> Option<Cow<'static, str>> {
    let objects = registration.announced.objects.iter();
    let mut ids = objects.map(|(path, _)| path.object_id());
    (!ids.any(|id| id == Some(ids::COMPUTE_PLATFORM))).then_some(Cow::Borrowed(NO_PLATFORM))
}

/// A request that is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Digest,
    Trusted,
    Capability(u16),
    Slots,
    Firmware,
    Observe(Path),
    Reset,
    Push,
    Install,
    Activate,
    Commit,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Digest => write!(f, "Read {}", capabilities::DIGEST),
            Asked::Trusted => write!(f, "Read {}", capabilities::TRUSTED),
            Asked::Capability(object) => write!(f, "Read {}", Path::object(*object)),
            Asked::Slots => write!(f, "Read {}", Path::object(slot::OBJECT)),
            Asked::Firmware => write!(f, "Read {}", firmware::OBJECT),
            Asked::Observe(_) => f.write_str("Observe"),
            Asked::Reset => write!(f, "Write {}", firmware::PACKAGE_URI),
            Asked::Push => write!(f, "Write {}", firmware::PACKAGE),
            Asked::Install => write!(f, "Execute {}", firmware::UPDATE),
            Asked::Activate => {
                let (object, activate) = (slot::OBJECT, ids::ml_model::ACTIVATE);
                write!(f, "Execute /{object}/x/{activate}")
            }
            Asked::Commit => {
                let (object, commit) = (slot::OBJECT, ids::ml_model::COMMIT);
                write!(f, "Execute /{object}/x/{commit}")
            }
        }
    }
}

/// Of the capability objects, while they are read and what they say is stored.
#[derive(Default)]
struct Reading {
    values: Vec<(Path, OwnedValue)>,
    ops: Vec<Op>,
}

#[derive(Default)]
pub(super) struct Device {
    pub(super) record: DeviceRecord,
    pub(super) view: View,
    pub(super) online: bool,
    /// Why it is left alone until it registers again.
    pub(super) unsupported: Option<Cow<'static, str>>,
    pub(super) strikes: u8,
    pub(super) asked: Option<(RequestId, Asked)>,
    pub(super) job: Option<JobId>,
    /// What is sent; only while the device is there.
    pub(super) body: Option<Body>,
    pub(super) progress: Option<(u32, u32)>,
    /// Differs from what is stored.
    pub(super) dirty: bool,
    pub(super) storing: Option<PersistId>,
    /// What is being stored is that there is no record of it.
    pub(super) deleting: bool,
    /// There may be a record of it in the store.
    pub(super) on_disk: bool,
    /// Monotonic time (ms) of the next try.
    pub(super) wake: Option<u64>,
    pub(super) pause: u64,
    pub(super) watching: Vec<Path>,
    reading: Option<Box<Reading>>,
    /// What is being stored as pieces of history.
    pub(super) filing: Vec<Entry>,
    /// Whether the device tells the highest sequence number that it has committed.
    pub(super) tells_floor: bool,
}

impl Device {
    /// As an earlier process left it.
    pub(super) fn restored(record: DeviceRecord) -> Self {
        Device {
            // What is not worth keeping is deleted.
            dirty: !record.is_worth_keeping(),
            record,
            on_disk: true,
            ..Device::default()
        }
    }

    /// Adds to the values of objects 27300 to 27302 that were read so far.
    pub(super) fn gather(&mut self, values: impl Iterator<Item = (Path, OwnedValue)>) {
        self.reading.get_or_insert_default().values.extend(values);
    }

    /// Those values; none are gathered any more.
    pub(super) fn gathered(&mut self) -> Vec<(Path, OwnedValue)> {
        let values = self.reading.as_mut().map(|r| std::mem::take(&mut r.values));
        self.drop_empty();
        values.unwrap_or_default()
    }

    /// Stores something together with the record.
    pub(super) fn store_too(&mut self, ops: Vec<Op>) {
        self.reading.get_or_insert_default().ops.extend(ops);
    }

    /// What is stored together with the record.
    pub(super) fn stored_too(&mut self) -> Vec<Op> {
        let ops = self.reading.as_mut().map(|r| std::mem::take(&mut r.ops));
        self.drop_empty();
        ops.unwrap_or_default()
    }

    fn drop_empty(&mut self) {
        self.reading
            .take_if(|reading| reading.values.is_empty() && reading.ops.is_empty());
    }

    /// True if nothing is to be remembered of it, in memory or in the store.
    pub(super) fn is_nothing(&self) -> bool {
        let wanted = self.online || self.record.is_worth_keeping();
        let written = self.dirty || self.on_disk || self.storing.is_some();
        !wanted && !written
    }
}
