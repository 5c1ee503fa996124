//! What can go wrong between a graph and a module.

use tinsmith_module::build::BuildError;
use tinsmith_module::numerics::FactorError;

/// Why no module could be written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum BackendError {
    /// A tensor lacks something that an earlier stage must give it: our fault.
    #[error("tensor {0} has no {1}")]
    Lacks(String, &'static str),
    /// Something no backend can do.
    #[error("{0}")]
    Impossible(String),
    /// A scale out of range.
    #[error("a scale is out of range: {0}")]
    Factor(FactorError),
    /// The writer refused: our fault.
    #[error("the module can't be written: {0}")]
    Build(BuildError),
}

impl From<FactorError> for BackendError {
    fn from(error: FactorError) -> Self {
        Self::Factor(error)
    }
}

impl From<BuildError> for BackendError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::TooLarge(_) => Self::Impossible(error.to_string()),
            error => Self::Build(error),
        }
    }
}
