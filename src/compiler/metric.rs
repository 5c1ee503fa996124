//! How good a model is on labelled samples, float beside int8.

use tinsmith_build_job::metric::{self, Measured};
use tinsmith_build_job::{Task, TestSet, squared_error};

use super::ir::Graph;
use super::ir::eval::Evaluator;
use super::quantize;
use super::verify::Runner;

/// Runs the whole test set.
pub(crate) fn measure(
    task: Task,
    float: &Graph,
    runner: &Runner<'_>,
    test: &TestSet,
) -> Result<Measured, String> {
    let elements = test.x.size().max(1);
    let threads = quantize::threads(float);
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
    Ok(Measured {
        name: metric::name(task),
        float: metric::evaluate(task, &real, &test.y),
        int8: metric::evaluate(task, &stored, &test.y),
        agreement: metric::agreement(task, &stored, &real),
        samples,
    })
}

/// Says which label can't be one of this model's.
pub(crate) fn check_labels(task: Task, float: &Graph, labels: &[f64]) -> Result<(), String> {
    let expected = match task {
        Task::Regress => return Ok(()),
        Task::Reconstruct => 2,
        // A single score is that of the second of two classes.
        Task::Classify => float
            .outputs
            .first()
            .map_or(0, |port| port.order.len())
            .max(2),
    };
    let fits = |label: f64| label.fract() == 0.0 && (0.0..expected as f64).contains(&label);
    match labels.iter().position(|&label| !fits(label)) {
        None => Ok(()),
        Some(sample) => {
            let what = match task {
                Task::Reconstruct => "0 (normal) or 1 (anomalous)".to_owned(),
                _ => format!("a class from 0 to {}", expected - 1),
            };
            let label = labels[sample];
            Err(format!(
                "test sample {sample} has label {label}; this model's are {what}"
            ))
        }
    }
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
    // Of the first output, a reconstruction is of all.
    let first = float.outputs.first().map_or(0, |port| port.order.len());
    let mut evaluator = Evaluator::new(float);
    let mut running = runner.start();
    let mut outcomes = Vec::new();
    for sample in samples.chunks_exact(elements) {
        evaluator.run(sample);
        let real = evaluator.output();
        let answer = running.run(sample)?;
        let reduce = |output: &[f32], class: Option<u32>| {
            match (task, output.get(..first).unwrap_or(output)) {
                // A single score is that of the second of two classes.
                (Task::Classify, [score]) => f64::from(u8::from(*score > 0.5)),
                (Task::Classify, scores) => f64::from(class.unwrap_or_else(|| argmax(scores))),
                (Task::Regress, values) => values.first().map_or(0.0, |&v| f64::from(v)),
                (Task::Reconstruct, _) => squared_error(sample, output),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    }
}
