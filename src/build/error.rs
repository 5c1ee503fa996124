//! Why a model can't be used.

use tinsmith_samples::SamplesError;
use tinsmith_store::StoreError;

use crate::CardError;

/// The most models that can be added.
pub(crate) const MAX_MODELS: usize = 10_000;

/// Why a model can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ZooError {
    /// Nothing of that name.
    #[error("no model '{name}' in the zoo; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The card is wrong.
    #[error("the model card is wrong: {0}")]
    Card(#[from] CardError),
    /// A data file is wrong.
    #[error("the {file} file can't be used: {error}")]
    Data {
        /// Which.
        file: &'static str,
        /// Why.
        error: SamplesError,
    },
    /// The compiler refuses it.
    #[error("{0}")]
    Model(String),
    /// The name is taken.
    #[error(
        "'{0}' came with the program and is neither changed nor removed; choose another name for yours"
    )]
    Shipped(String),
    /// The version is taken.
    #[error(
        "model '{name}' has a version {version} already, with other files; a version is never \
         changed: give this one another"
    )]
    Immutable {
        /// Its name.
        name: String,
        /// Which version.
        version: String,
    },
    /// What is stored of it can't be read, and is not overwritten.
    #[error("what is stored of model '{name}' can't be read and is left as it is: {reason}")]
    Unreadable {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A file of it is gone or damaged.
    #[error("model '{name}' is damaged: {reason}; add it again")]
    Damaged {
        /// Its name.
        name: String,
        /// How.
        reason: String,
    },
    /// Too many models.
    #[error("the zoo is full: it takes {MAX_MODELS} models")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk is full.
    #[error("the disk of the server is full; make room and try again")]
    NoRoom,
    /// A file of the zoo can't be read or written.
    #[error("a file of the zoo: {0}")]
    File(String),
}
