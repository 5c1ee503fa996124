//! What models are for.

use serde::{Deserialize, Serialize};

/// What a model's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One score per class; the class is the highest.
    Classify,
    /// Real numbers.
    Regress,
    /// The input again; the mean squared error is an anomaly score.
    Reconstruct,
}
