//! A module that was built, or why there is none.

use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;

/// A module that was built. As stored: the names of fields are keys, their order is that of
/// schema 1 of the records that have it, and new ones come last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// SHA-256 of the module; its name in the file store.
    pub module: Digest,
    /// Size of the module in bytes.
    pub module_bytes: u32,
    /// Activation memory in bytes.
    pub arena_bytes: u32,
    /// Milliseconds the compiler took (also when this build came from the cache).
    pub compile_ms: u64,
    /// Whether it came from the cache.
    pub cached: bool,
    /// Name and version of the compiler.
    pub compiler: String,
}

/// Why a module was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbuilt {
    /// It would not run on the device.
    #[error("refused: {reason}")]
    Refused {
        /// What is missing.
        reason: String,
    },
    /// Nobody knows yet, for a reason that is not the model's: a disk that is full, a file that is
    /// damaged. It may be asked for again.
    #[error("not now: {reason}")]
    Later {
        /// What is in the way.
        reason: String,
    },
    /// The compiler failed.
    #[error("the build failed: {reason}")]
    Failed {
        /// What the compiler said.
        reason: String,
    },
}
