//! How good a model is on labelled samples, float beside int8.

use super::Task;
use super::ir::Graph;
use super::ir::eval::Evaluator;
use super::verify::Runner;
use crate::samples::TestSet;
use crate::task::squared_error;

/// The outcome on one test set; the same samples for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
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

/// Runs the whole test set.
pub(crate) fn measure(
    task: Task,
    float: &Graph,
    runner: &Runner<'_>,
    test: &TestSet,
) -> Result<Measured, String> {
    let elements = test.x.size().max(1);
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, 4);
    let share = test.x.len().div_ceil(threads).max(1) * elements;
    // Per sample, so that the sums below run in the order of the samples.
    let parts: Vec<Result<Vec<Outcome>, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = test
            .x
            .data
            .chunks(share)
            .map(|part| scope.spawn(move || outcomes(task, float, runner, part, elements)))
            .collect();
        workers
            .into_iter()
            .map(|w| {
                w.join()
                    .unwrap_or_else(|_| Err("a measuring thread failed".into()))
            })
            .collect()
    });
    let mut outcomes = Vec::with_capacity(test.x.len());
    for part in parts {
        outcomes.extend(part?);
    }
    let (real, stored): (Vec<f64>, Vec<f64>) = outcomes.iter().map(|o| (o.float, o.int8)).unzip();
    let samples = outcomes.len();
    Ok(match task {
        Task::Classify => Measured {
            name: "accuracy",
            float: equal(&real, &test.y),
            int8: equal(&stored, &test.y),
            agreement: Some(equal(&stored, &real)),
            samples,
        },
        Task::Regress => Measured {
            name: "rmse",
            float: rmse(&real, &test.y),
            int8: rmse(&stored, &test.y),
            agreement: None,
            samples,
        },
        Task::Reconstruct => Measured {
            name: "auc",
            float: auc(&real, &test.y),
            int8: auc(&stored, &test.y),
            agreement: None,
            samples,
        },
    })
}

/// One sample reduced to a number: class, value, or reconstruction error.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    float: f64,
    int8: f64,
}

fn outcomes(
    task: Task,
    float: &Graph,
    runner: &Runner<'_>,
    samples: &[f32],
    elements: usize,
) -> Result<Vec<Outcome>, String> {
    let mut evaluator = Evaluator::new(float);
    let mut arena = runner.arena();
    let mut outcomes = Vec::new();
    for sample in samples.chunks_exact(elements) {
        evaluator.run(sample);
        let real = evaluator.output();
        let answer = runner.run(sample, &mut arena)?;
        let reduce = |output: &[f32], class: Option<u32>| match (task, output) {
            // A single score is that of the second of two classes.
            (Task::Classify, [score]) => f64::from(u8::from(*score > 0.5)),
            (Task::Classify, scores) => f64::from(class.unwrap_or_else(|| argmax(scores))),
            (Task::Regress, values) => values.first().map_or(0.0, |&v| f64::from(v)),
            (Task::Reconstruct, values) => squared_error(sample, values),
        };
        outcomes.push(Outcome {
            float: reduce(&real, None),
            int8: reduce(&answer.output, answer.class),
        });
    }
    Ok(outcomes)
}

/// Lowest index of the highest value.
pub(crate) fn argmax(values: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    u32::try_from(best).unwrap_or(u32::MAX)
}

pub(crate) fn equal(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

pub(crate) fn rmse(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sum / a.len().max(1) as f64).sqrt()
}

/// Area under the receiver operating characteristic: the share of (anomalous, normal) pairs that
/// the score orders rightly, ties counting half. 0.5 if one of the two kinds is missing.
pub(crate) fn auc(scores: &[f64], labels: &[f64]) -> f64 {
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

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    }
}
