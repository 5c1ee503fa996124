//! A second opinion on the float model: the imported graph against tract, the rewritten graph against
//! the imported one.

use std::collections::HashMap;

use tinsmith_build_job::{CompileError, Request};

use super::ir::Graph;
use super::ir::eval::Evaluator;
use super::{import, oracle};

/// Samples on which every tensor is compared.
const ORACLE_SAMPLES: usize = 3;

/// The float model gives numbers on the samples that follow.
pub(crate) fn check_values(
    request: &Request,
    imported: &import::Imported,
) -> Result<(), CompileError> {
    let mut evaluator = Evaluator::new(&imported.graph);
    for (index, sample) in request
        .options
        .calibration
        .iter()
        .take(ORACLE_SAMPLES)
        .enumerate()
    {
        evaluator.run(sample);
        for (name, id) in &imported.names {
            if evaluator.value(*id).iter().any(|value| !value.is_finite()) {
                let problem = format!(
                    "calibration sample {index} makes tensor {name} NaN or infinite; the samples \
                     or the weights are wrong"
                );
                return Err(CompileError::Data {
                    model: request.name.clone(),
                    problem,
                });
            }
        }
    }
    Ok(())
}

/// Compares every tensor of the imported graph with tract, so that an error in the importer or the
/// evaluator names the first tensor that is wrong.
pub(crate) fn compare(
    request: &Request,
    imported: &import::Imported,
    typed: &oracle::Typed,
) -> Result<(), String> {
    let names: Vec<String> = imported
        .names
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let oracle = typed.oracle(&names)?;
    let Some(input) = imported.graph.inputs.first() else {
        return Ok(());
    };
    let mut evaluator = Evaluator::new(&imported.graph);
    for sample in request.options.calibration.iter().take(ORACLE_SAMPLES) {
        evaluator.run(sample);
        let ours: HashMap<&str, &[f32]> = imported
            .names
            .iter()
            .map(|(name, id)| (name.as_str(), evaluator.value(*id)))
            .collect();
        if let Some(difference) = oracle.compare(&input.shape, sample, &ours)? {
            return Err(format!(
                "tensor {} element {} is {} by our evaluator but {} by tract",
                difference.tensor, difference.index, difference.ours, difference.theirs
            ));
        }
    }
    Ok(())
}

/// The passes must not change what the graph computes.
pub(crate) fn same_outputs(request: &Request, before: &Graph, after: &Graph) -> Result<(), String> {
    let (mut one, mut two) = (Evaluator::new(before), Evaluator::new(after));
    for sample in request.options.calibration.iter().take(ORACLE_SAMPLES) {
        one.run(sample);
        two.run(sample);
        let (old, new) = (one.output(), two.output());
        let largest = old.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
        for (index, (a, b)) in old.iter().zip(&new).enumerate() {
            let difference = (a - b).abs();
            if old.len() != new.len() || difference.is_nan() || difference > 1e-3 * largest {
                return Err(format!("output element {index} changed from {a} to {b}"));
            }
        }
    }
    Ok(())
}
