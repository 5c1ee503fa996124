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
use tinsmith_order::{JobId, Package};
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
    Anchors,
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
            Asked::Anchors => write!(f, "Write {} with trust anchors", firmware::PACKAGE),
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

/// What a device seldom has.
#[derive(Default)]
struct Seldom {
    /// Of the capability objects, while they are read.
    values: Vec<(Path, OwnedValue)>,
    /// What is stored together with the record.
    ops: Vec<Op>,
    /// What is being stored as pieces of history.
    filing: Vec<Entry>,
    /// What is to be observed yet.
    watching: Vec<Path>,
    /// What is sent; only while the device is there.
    body: Option<Body>,
    /// Bytes of it that the device has, and of all.
    progress: Option<(u32, u32)>,
    /// The package with its new trust anchors, and its tag; only while the device is there.
    anchors: Option<(Body, [u8; 8])>,
}

impl Seldom {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.ops.is_empty()
            && self.filing.is_empty()
            && self.watching.is_empty()
            && self.body.is_none()
            && self.progress.is_none()
            && self.anchors.is_none()
    }
}

#[derive(Default)]
pub(super) struct Device {
    pub(super) record: DeviceRecord,
    pub(super) view: View,
    pub(super) online: bool,
    /// Why it is left alone until it registers again.
    pub(super) unsupported: Option<Cow<'static, str>>,
    pub(super) strikes: u8,
    /// How often it has not taken its new trust anchors.
    pub(super) anchor_tries: u8,
    pub(super) asked: Option<(RequestId, Asked)>,
    pub(super) job: Option<JobId>,
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
    seldom: Option<Box<Seldom>>,
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
        self.seldom.get_or_insert_default().values.extend(values);
    }

    /// Those values; none are gathered any more.
    pub(super) fn gathered(&mut self) -> Vec<(Path, OwnedValue)> {
        self.take(|seldom| &mut seldom.values)
    }

    /// Stores something together with the record.
    pub(super) fn store_too(&mut self, ops: Vec<Op>) {
        self.seldom.get_or_insert_default().ops.extend(ops);
    }

    /// What is stored together with the record.
    pub(super) fn stored_too(&mut self) -> Vec<Op> {
        self.take(|seldom| &mut seldom.ops)
    }

    /// What is being stored as pieces of history.
    pub(super) fn file(&mut self, entries: Vec<Entry>) {
        self.filed();
        if !entries.is_empty() {
            self.seldom.get_or_insert_default().filing = entries;
        }
    }

    /// The same, which is stored or was refused.
    pub(super) fn filed(&mut self) -> Vec<Entry> {
        self.take(|seldom| &mut seldom.filing)
    }

    /// What is to be observed next, of `paths` if nothing is observed yet.
    pub(super) fn watch(&mut self, paths: impl Iterator<Item = Path>) -> Option<Path> {
        let watching = &mut self.seldom.get_or_insert_default().watching;
        if watching.is_empty() {
            watching.extend(paths);
        }
        watching.first().copied()
    }

    /// It is observed, or can't be. True if that was the last.
    pub(super) fn watched(&mut self, path: Path) -> bool {
        let mut watching = self.take(|seldom| &mut seldom.watching);
        watching.retain(|other| *other != path);
        let last = watching.is_empty();
        if !last {
            self.seldom.get_or_insert_default().watching = watching;
        }
        last
    }

    /// Nothing is observed any more.
    pub(super) fn unwatch(&mut self) {
        self.take(|seldom| &mut seldom.watching);
    }

    fn take<T>(&mut self, of: impl FnOnce(&mut Seldom) -> &mut Vec<T>) -> Vec<T> {
        let taken = self
            .seldom
            .as_mut()
            .map(|seldom| std::mem::take(of(seldom)));
        self.drop_empty();
        taken.unwrap_or_default()
    }

    fn drop_empty(&mut self) {
        self.seldom.take_if(|seldom| seldom.is_empty());
    }

    /// What is sent.
    pub(super) fn body(&self) -> Option<&Body> {
        self.seldom.as_ref()?.body.as_ref()
    }

    pub(super) fn set_body(&mut self, body: Option<Body>) {
        if body.is_some() || self.seldom.is_some() {
            self.seldom.get_or_insert_default().body = body;
            self.drop_empty();
        }
    }

    /// The package with its new trust anchors, and its tag.
    pub(super) fn anchors(&self) -> Option<&(Body, [u8; 8])> {
        self.seldom.as_ref()?.anchors.as_ref()
    }

    pub(super) fn set_anchors(&mut self, package: Option<Package>) {
        if package.is_some() || self.seldom.is_some() {
            let sent = package.map(|package| {
                let tag = package.digest.tag();
                (Body::new(package.head, package.module), tag)
            });
            self.seldom.get_or_insert_default().anchors = sent;
            self.drop_empty();
        }
    }

    /// Bytes that the device has of what is sent, and of all.
    pub(super) fn progress(&self) -> Option<(u32, u32)> {
        self.seldom.as_ref()?.progress
    }

    pub(super) fn set_progress(&mut self, progress: Option<(u32, u32)>) {
        if progress.is_some() || self.seldom.is_some() {
            self.seldom.get_or_insert_default().progress = progress;
            self.drop_empty();
        }
    }

    /// True if nothing is to be remembered of it, in memory or in the store.
    pub(super) fn is_nothing(&self) -> bool {
        let wanted = self.online || self.record.is_worth_keeping();
        let written = self.dirty || self.on_disk || self.storing.is_some();
        !wanted && !written
    }
}
