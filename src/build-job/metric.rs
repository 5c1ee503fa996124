//! How good answers are, measured on labelled samples.

use crate::Task;

/// The outcome on one test set; the same samples for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Name of the metric: accuracy, rmse or auc.
    pub name: &'static str,
    /// The float model's, 0 to 1 for accuracy and AUC.
    pub float: f64,
    /// The module's.
    pub int8: f64,
    /// Share of samples on which both decide alike, for a classifier.
    pub agreement: Option<f64>,
    /// Number of samples.
    pub samples: usize,
}

/// Name of the metric of a task.
pub const fn name(task: Task) -> &'static str {
    match task {
        Task::Classify => "accuracy",
        Task::Regress => "rmse",
        Task::Reconstruct => "auc",
    }
}

/// The metric of a task: accuracy, RMSE, or AUC of the anomaly score.
pub fn evaluate(task: Task, scores: &[f64], labels: &[f64]) -> f64 {
    match task {
        Task::Classify => equal(scores, labels),
        Task::Regress => rmse(scores, labels),
        Task::Reconstruct => auc(scores, labels),
    }
}

/// The share of samples with the same class; `None` for tasks without classes.
pub fn agreement(task: Task, one: &[f64], other: &[f64]) -> Option<f64> {
    (task == Task::Classify).then(|| equal(one, other))
}

fn equal(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

fn rmse(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sum / a.len().max(1) as f64).sqrt()
}

/// Area under the receiver operating characteristic: the share of (anomalous, normal) pairs that
/// the score orders rightly, ties counting half. 0.5 if one of the two kinds is missing.
fn auc(scores: &[f64], labels: &[f64]) -> f64 {
    let mut sorted: Vec<(f64, bool)> = scores
        .iter()
        .zip(labels)
        .map(|(&score, &label)| (score, label > 0.5))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = sorted.iter().filter(|(_, label)| *label).count();
    let negatives = sorted.len() - positives;
    if positives == 0 || negatives == 0 {
        return 0.5;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let up = ties.iter().filter(|(_, label)| *label).count() as f64;
        let down = ties.len() as f64 - up;
        won += up * (below + down / 2.0);
        below += down;
    }
    won / (positives as f64 * negatives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_counts_pairs() {
        assert_eq!(auc(&[0.1, 0.2, 0.8, 0.9], &[0.0, 0.0, 1.0, 1.0]), 1.0);
        assert_eq!(auc(&[0.9, 0.1], &[0.0, 1.0]), 0.0);
        assert_eq!(auc(&[0.5, 0.5, 0.5], &[0.0, 1.0, 1.0]), 0.5);
        assert_eq!(auc(&[1.0, 3.0, 2.0, 4.0], &[0.0, 0.0, 1.0, 1.0]), 0.75);
        assert_eq!(auc(&[1.0], &[1.0]), 0.5);
    }
}
