//! From "this device shall run that model" to a committed module.
//!
//! [`next`] is the decision, a pure function of what is stored and what was read. [`Reconciler`]
//! asks it after every event and carries out the answer: it asks for reads, builds and packages,
//! and stores every step before the datagram that depends on it leaves.

mod ask;
mod capabilities;
pub mod firmware;
mod next;
mod reconcile;
mod record;
pub mod slot;
mod status;

pub use ask::{Ask, AskId, BuildRequest, Change, JobDone, Reply, StartJob};
pub use capabilities::CapabilityDigest;
pub use next::{Next, View, next};
pub use reconcile::{Command, Job, JobId, JobResult, Output, Package, PackageJob, Reconciler};
pub use record::{Artefact, Attempt, Desired, DeviceRecord, Entry, Failure, Finished, Step};
pub use status::{Status, Summary};

/// Version of [`DeviceRecord`] as stored; schema 1 is read too.
pub const SCHEMA: u16 = 2;

#[cfg(test)]
mod tests;
