//! From "this device shall run that model" to a committed module.
//!
//! [`next`] is the decision, a pure function of what is stored and what was read. [`Reconciler`]
//! asks it after every event and carries out the answer: it asks for reads, builds and packages,
//! and stores every step before the datagram that depends on it leaves.

mod ask;
mod capabilities;
pub mod firmware;
pub mod history;
mod installed;
mod next;
mod reconcile;
mod record;
pub mod slot;
mod status;

pub use ask::{Ask, AskId, Change, Command, Reply};
pub use capabilities::CapabilityDigest;
pub use next::{Next, View, next};
pub use reconcile::{HISTORY, Output, Reconciler};
pub use record::{Attempt, Desired, DeviceRecord, Entry, Failure, Finished, Installed, Step};
pub use status::{Status, Summary};
pub use tinsmith_order::{
    Anchors, AnchorsJob, Artefact, BuildRequest, Job, JobDone, JobId, JobResult, KeyId, Package,
    PackageJob, Sign, StartJob, Unbuilt,
};

/// Version of [`DeviceRecord`] as stored; schema 1 is read too.
pub const SCHEMA: u16 = 2;

#[cfg(test)]
mod tests;
