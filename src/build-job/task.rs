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

/// Mean squared difference of a sample and its reconstruction: the anomaly score.
pub fn squared_error(sample: &[f32], output: &[f32]) -> f64 {
    let sum: f64 = sample
        .iter()
        .zip(output)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b)))
        .sum();
    sum / sample.len().max(1) as f64
}
