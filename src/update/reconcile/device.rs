//! What is known of a device, and what is asked of it.

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
pub(super) fn lacks_platform(registration: &Registration) -> Option<String> {
    let objects = registration.objects.iter();
    let mut ids = objects.map(|(path, _)| path.object_id());
    (!ids.any(|id| id == Some(ids::COMPUTE_PLATFORM))).then(|| NO_PLATFORM.to_owned())
}

/// A request that is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Digest,
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

#[derive(Default)]
pub(super) struct Device {
    pub(super) record: DeviceRecord,
    pub(super) view: View,
    pub(super) online: bool,
    /// Why it is left alone until it registers again.
    pub(super) unsupported: Option<String>,
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
    /// Values of objects 27300 to 27302 read so far.
    pub(super) gathered: Vec<(Path, OwnedValue)>,
    /// What is being stored as pieces of history.
    pub(super) filing: Vec<Entry>,
    /// What is stored together with the record.
    pub(super) beside: Vec<Op>,
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

    /// True if nothing is to be remembered of it, in memory or in the store.
    pub(super) fn is_nothing(&self) -> bool {
        let wanted = self.online || self.record.is_worth_keeping();
        let written = self.dirty || self.on_disk || self.storing.is_some();
        !wanted && !written
    }
}
