//! The program that compiles.

use std::path::PathBuf;
use std::time::Duration;

/// The program that compiles when it is started with [`tinsmith_build_job::child::COMMAND`].
#[derive(Clone, Debug)]
pub struct Compiler {
    /// Its file.
    pub exe: PathBuf,
    /// Name and version of the compiler in it; part of every build key, with the file's digest.
    pub version: String,
    /// How long a build may take up to the verified module.
    pub limit: Duration,
}
