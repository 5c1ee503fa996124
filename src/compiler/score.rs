//! Scores of the float model, for whoever compares a device with it.

use tinsmith_build_job::{CompileError, Samples, Task, squared_error};

use super::ir::eval::Evaluator;
use super::{check, data, import, metric, operators, oracle};

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
    let typed = oracle::Typed::new(&checked.model).ok();
    let graph = import::import(name, &checked, typed.as_ref(), &operators::find)?.graph;
    let samples = data::inputs("test", samples, &graph).map_err(|problem| CompileError::Data {
        model: name.to_owned(),
        problem,
    })?;
    let first = graph.outputs.first().map_or(0, |port| port.order.len());
    let mut evaluator = Evaluator::new(&graph);
    Ok(samples
        .iter()
        .map(|sample| {
            evaluator.run(sample);
            let output = evaluator.output();
            match task {
                Task::Classify => f64::from(metric::argmax(output.get(..first).unwrap_or(&output))),
                Task::Regress => output.first().map_or(0.0, |value| f64::from(*value)),
                Task::Reconstruct => squared_error(sample, &output),
            }
        })
        .collect())
}
