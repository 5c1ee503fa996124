//! What updates order from the build service, and what they get: modules for a kind of device, and
//! the packages that carry them.
//!
//! Neither side knows the other, nor how orders travel.

mod anchors;
mod artefact;
mod job;
mod package;
mod sequence;

pub use anchors::{Anchors, AnchorsJob};
pub use artefact::{Artefact, Unbuilt};
pub use job::{BuildRequest, Job, JobDone, JobId, JobResult, StartJob};
pub use package::{Package, PackageJob, Sign};
pub use sequence::next_sequence;
pub use tinsmith_package::KeyId;
