//! Scores of the float model, for whoever compares a device with it.

use super::ir::eval::Evaluator;
use super::{CompileError, Task, check, import, metric, oracle};
use crate::samples::Samples;
use crate::task::squared_error;

/// What the float model says of each sample: the class, the value, or the mean squared error of
/// the reconstruction.
///
/// Runs the importer in this process: for models that were compiled before.
pub fn float_scores(
    name: &str,
    onnx: &[u8],
    task: Task,
    samples: &Samples,
) -> Result<Vec<f64>, CompileError> {
    let checked = check::check(name, onnx)?;
    let typed = oracle::Typed::new(name, &checked.model)?;
    let graph = import::import(name, &checked, &typed)?.graph;
    let expected: usize = graph
        .inputs
        .first()
        .map_or(0, |input| input.shape.iter().product());
    if samples.size() != expected {
        return Err(CompileError::Data {
            model: name.to_owned(),
            problem: format!(
                "a sample has {} values, the input {expected}",
                samples.size()
            ),
        });
    }
    let mut evaluator = Evaluator::new(&graph);
    Ok(samples
        .iter()
        .map(|sample| {
            evaluator.run(sample);
            let output = evaluator.output();
            match task {
                Task::Classify => f64::from(metric::argmax(&output)),
                Task::Regress => output.first().map_or(0.0, |value| f64::from(*value)),
                Task::Reconstruct => squared_error(sample, &output),
            }
        })
        .collect())
}

/// The metric of a task: accuracy, RMSE, or AUC of the anomaly score.
pub fn evaluate(task: Task, scores: &[f64], labels: &[f64]) -> f64 {
    match task {
        Task::Classify => metric::equal(scores, labels),
        Task::Regress => metric::rmse(scores, labels),
        Task::Reconstruct => metric::auc(scores, labels),
    }
}

/// The share of samples with the same class; `None` for tasks without classes.
pub fn agreement(task: Task, one: &[f64], other: &[f64]) -> Option<f64> {
    (task == Task::Classify).then(|| metric::equal(one, other))
}
