//! Orders and how they are answered.

use std::sync::Arc;

use lwm2m_objects::capability::Capability;
use tinsmith_digest::Digest;

use crate::anchors::AnchorsJob;
use crate::artefact::{Artefact, Unbuilt};
use crate::package::{Package, PackageJob};

/// Names a job until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Work that is not for a single-threaded shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Build a model for a device.
    Build {
        /// Name in the zoo.
        model: String,
        /// Version of the model.
        version: String,
        /// SHA-256 of the ONNX file.
        source: Digest,
        /// What the device is made of.
        capability: Arc<Capability>,
    },
    /// Wrap a module into a package.
    Package(PackageJob),
    /// Make a package that changes the trust anchors.
    Anchors(AnchorsJob),
}

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum JobResult {
    /// Of [`Job::Build`].
    Built(Result<Artefact, Unbuilt>),
    /// Of [`Job::Package`].
    Packaged(Result<Package, Unbuilt>),
    /// Of [`Job::Anchors`].
    Anchors(Result<Package, Unbuilt>),
}

/// A job and who wants it.
#[derive(Debug)]
pub struct BuildRequest {
    /// The device's endpoint name.
    pub endpoint: Arc<str>,
    /// Comes back with the result.
    pub id: JobId,
    /// What to do.
    pub job: Job,
}

/// Called once, from any thread, when a job has ended.
pub type JobDone = Box<dyn FnOnce(JobId, JobResult) + Send>;

/// Starts a job and returns at once.
pub type StartJob = Arc<dyn Fn(BuildRequest, JobDone) + Send + Sync>;
