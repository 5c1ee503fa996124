//! What operators ask of the reconciler, and what they get.

use serde::{Deserialize, Serialize};

use super::status::{Status, Summary};
use tinsmith_digest::Digest;

/// Names a question until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What an operator decides about a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The device shall run this model.
    Want {
        /// Name in the zoo.
        model: String,
        /// Version of the model.
        version: String,
        /// SHA-256 of the ONNX file.
        source: Digest,
        /// Seconds until the device rolls back by itself; 0 lets it commit by itself.
        trial_s: u32,
    },
    /// No model is wanted any more; what runs stays.
    Forget,
    /// Try again after a failure.
    Retry,
    /// The device shall run what it ran before; see [`DeviceRecord::previous`].
    ///
    /// [`DeviceRecord::previous`]: crate::DeviceRecord::previous
    Rollback,
}

/// What operators ask.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Decide something about a device; answered with [`Reply::Stored`] when it is
    /// durable.
    Decide(Command),
    /// Forget everything of a device, an unreadable record too; answered with [`Reply::Stored`]
    /// when it is durable. One that is registered is read as a new one when it registers again.
    Delete,
    /// How does the device stand?
    Status,
}

/// What they get.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The decision is durable.
    Stored,
    /// Nothing was decided: it is not known what the device ran before.
    NoPrevious,
    /// Nothing can be decided: the device's record can't be read, and is not overwritten.
    Unreadable(String),
    /// One device; `None` if it was never seen and nothing is wanted of it.
    Status(Option<Box<Status>>),
}

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
    /// The decision that it is about: [`Desired::generation`](crate::Desired::generation).
    pub decision: Option<u64>,
}
