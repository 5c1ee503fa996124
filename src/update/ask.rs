//! What operators ask of the reconciler, and what they get.

use serde::{Deserialize, Serialize};

use super::reconcile::{Command, Job, JobId, JobResult};
use super::status::{Status, Summary};
use tinsmith_lwm2m::Endpoint;

/// Names a question until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What operators ask.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Decide something about a device; answered with [`Reply::Stored`] when it is
    /// durable.
    Decide(Command),
    /// How does the device stand?
    Status,
}

/// What they get.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The decision is durable.
    Stored,
    /// Nothing can be decided: the device's record can't be read, and is not overwritten.
    Unreadable(String),
    /// One device; `None` if it was never seen and nothing is wanted of it.
    Status(Option<Box<Status>>),
}

/// A job and who wants it.
#[derive(Debug)]
pub struct BuildRequest {
    /// The device.
    pub endpoint: Endpoint,
    /// Comes back with the result.
    pub id: JobId,
    /// What to do.
    pub job: Job,
}

/// Called once, from any thread, when a job has ended.
pub type JobDone = Box<dyn FnOnce(JobId, JobResult) + Send>;

/// Starts a job and returns at once.
pub type StartJob = std::sync::Arc<dyn Fn(BuildRequest, JobDone) + Send + Sync>;

/// Where a device stands now, for the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The device.
    pub endpoint: String,
    /// In a word.
    pub summary: Summary,
    /// In a sentence.
    pub detail: String,
    /// Acknowledged and all bytes of the package that is being sent.
    pub progress: Option<(u32, u32)>,
}
