//! A second opinion on the float model: the imported graph against tract, the rewritten graph against
//! the imported one.

use std::collections::HashMap;

use tinsmith_build_job::{CompileError, FloatCheck, Request};

use super::import::Imported;
use super::ir::Graph;
use super::ir::eval::Evaluator;
use super::oracle::{Oracle, Typed};

/// Samples on which every tensor is compared.
const ORACLE_SAMPLES: usize = 3;

/// The float model gives numbers on the samples that follow.
pub(crate) fn check_values(request: &Request, imported: &Imported) -> Result<(), CompileError> {
    let mut evaluator = Evaluator::new(&imported.graph);
    let samples = request.options.calibration.iter().enumerate();
    for (index, sample) in samples.take(ORACLE_SAMPLES) {
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
/// evaluator names the first tensor that is wrong. Where tract can't run the graph the result says
/// why.
pub(crate) fn compare(
    request: &Request,
    imported: &Imported,
    typed: Result<&Typed, &str>,
) -> Result<FloatCheck, String> {
    let names: Vec<String> = imported
        .names
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let none = |reason: &str| {
        Ok(FloatCheck::None {
            reason: reason.to_owned(),
        })
    };
    let oracle = match typed {
        Ok(_) if !imported.graph.states.is_empty() => return none("the model keeps states"),
        Ok(typed) => match typed.oracle(&names) {
            Ok(oracle) => oracle,
            Err(reason) => return none(&reason),
        },
        Err(reason) => return none(reason),
    };
    let mut evaluator = Evaluator::new(&imported.graph);
    for sample in request.options.calibration.iter().take(ORACLE_SAMPLES) {
        evaluator.run(sample);
        match agree(&oracle, imported, &evaluator, sample) {
            Ok(None) => {}
            Ok(Some(difference)) => return Err(difference),
            Err(reason) => return none(&reason),
        }
    }
    Ok(FloatCheck::Tract {
        tensors: oracle.tensors() as u64,
    })
}

fn agree(
    oracle: &Oracle,
    imported: &Imported,
    evaluator: &Evaluator<'_>,
    sample: &[f32],
) -> Result<Option<String>, String> {
    let ours: HashMap<&str, &[f32]> = imported
        .names
        .iter()
        .map(|(name, id)| (name.as_str(), evaluator.value(*id)))
        .collect();
    let parts = imported.graph.parts(sample).into_iter();
    let inputs: Vec<(&[usize], &[f32])> = parts
        .map(|(port, part)| (port.shape.as_slice(), part))
        .collect();
    oracle.compare(&inputs, &ours)
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
