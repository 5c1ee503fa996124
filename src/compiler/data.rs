//! Whether calibration samples, test set and labels belong to the model, and whether the model is
//! small enough to work on.

use tinsmith_build_job::{CompileError, ModelError, Problem, Request, Task};

use super::ir::{self, Graph, Port};

/// Most activation elements of a model, all tensors together.
const MAX_ACTIVATIONS: usize = 1 << 24;

/// The work and memory of a build are bounded.
pub(crate) fn check_size(request: &Request, graph: &Graph) -> Result<(), CompileError> {
    let mut total = 0_usize;
    for index in 0..graph.tensor_count() {
        let tensor = graph.tensor(ir::TensorId(index));
        if !tensor.is_constant() {
            total = total.saturating_add(tensor.elements());
        }
    }
    if total <= MAX_ACTIVATIONS {
        return Ok(());
    }
    Err(CompileError::Model(Box::new(ModelError {
        model: request.name.clone(),
        node: None,
        operator: None,
        problem: Problem::TooMany {
            what: "elements in all its tensors".into(),
            count: total as u64,
            limit: MAX_ACTIVATIONS as u64,
        },
    })))
}

/// Calibration, test set and labels belong to the model.
pub(crate) fn check_data(request: &Request, graph: &Graph) -> Result<(), CompileError> {
    let wrong = |problem: String| {
        Err(CompileError::Data {
            model: request.name.clone(),
            problem,
        })
    };
    if graph.inputs.is_empty() || graph.outputs.is_empty() {
        return wrong("the model has no input or no output".into());
    }
    let elements = graph.sample_size();
    let sets = [("calibration", Some(&request.options.calibration))]
        .into_iter()
        .chain([("test", request.test.as_ref().map(|test| &test.x))]);
    for (what, samples) in sets {
        let Some(samples) = samples else { continue };
        if samples.is_empty() {
            return wrong(format!("the {what} set is empty; give at least one sample"));
        }
        if samples.size() != elements || samples.data.len() % elements != 0 {
            let inputs = graph.inputs.iter();
            let inputs: Vec<String> = inputs
                .map(|input| format!("'{}' has {:?}", input.name, input.shape))
                .collect();
            return wrong(format!(
                "the {what} samples have shape {:?}, the model's input {}",
                samples.shape,
                inputs.join(", ")
            ));
        }
    }
    let outputs: usize = graph.outputs.iter().map(|port| port.order.len()).sum();
    if !request.labels.is_empty() && request.labels.len() != outputs {
        return wrong(format!(
            "there are {} labels but the output {} has {outputs} elements",
            request.labels.len(),
            names(&graph.outputs)
        ));
    }
    if request.task == Task::Reconstruct && outputs != elements {
        return wrong(format!(
            "its task is to reconstruct {elements} values but its output has {outputs}"
        ));
    }
    if let Some(test) = &request.test
        && test.y.len() != test.x.len()
    {
        return wrong(format!(
            "{} test samples but {} labels",
            test.x.len(),
            test.y.len()
        ));
    }
    Ok(())
}

fn names(ports: &[Port]) -> String {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    names.join(", ")
}
