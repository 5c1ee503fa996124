//! Whether calibration samples, test set and labels belong to the model, and whether the model is
//! small enough to work on.

use std::borrow::Cow;

use tinsmith_build_job::{Array, CompileError, ModelError, Problem, Request, Samples, Task};

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

/// The request with its samples in the order of the graph's inputs, if calibration, test set and
/// labels belong to the model.
pub(crate) fn arranged<'r>(
    request: &'r Request,
    graph: &Graph,
) -> Result<Cow<'r, Request>, CompileError> {
    let wrong = |problem| CompileError::Data {
        model: request.name.clone(),
        problem,
    };
    if graph.inputs.is_empty() || graph.outputs.is_empty() {
        return Err(wrong("the model has no input or no output".into()));
    }
    let calibration = inputs("calibration", &request.options.calibration, graph).map_err(wrong)?;
    let test = request.test.as_ref();
    let test = test.map(|test| inputs("test", &test.x, graph));
    let test = test.transpose().map_err(wrong)?;
    let mut request = Cow::Borrowed(request);
    if let Cow::Owned(samples) = calibration {
        request.to_mut().options.calibration = samples;
    }
    if let Some(Cow::Owned(samples)) = test
        && let Some(test) = &mut request.to_mut().test
    {
        test.x = samples;
    }
    check_answers(&request, graph).map_err(wrong)?;
    Ok(request)
}

/// The samples with an array for each input of the graph, in their order.
pub(crate) fn inputs<'s>(
    what: &str,
    samples: &'s Samples,
    graph: &Graph,
) -> Result<Cow<'s, Samples>, String> {
    if samples.is_empty() {
        return Err(format!("the {what} set is empty; give at least one sample"));
    }
    let arrays = &samples.arrays;
    let named = |name: &str| arrays.iter().position(|array| array.name == name);
    let order: Vec<usize> = match (graph.inputs.as_slice(), arrays.len()) {
        ([_], 1) => vec![0],
        ([only], _) => named(&only.name)
            .or_else(|| named("x"))
            .into_iter()
            .collect(),
        (inputs, _) => {
            let none = |a: &&Array| !inputs.iter().any(|input| input.name == a.name);
            if let Some(array) = arrays.iter().find(none) {
                let name = &array.name;
                return Err(format!(
                    "array '{name}' of the {what} set is for no input of the model, which has {}",
                    names(inputs)
                ));
            }
            inputs
                .iter()
                .filter_map(|input| named(&input.name))
                .collect()
        }
    };
    if order.len() != graph.inputs.len() {
        let list: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        let labels = graph.inputs.iter().any(|input| input.name == "y");
        let labels = match labels && named("y").is_none() {
            true => " (an array y is read as labels: give input y another name)",
            false => "",
        };
        return Err(format!(
            "the {what} set has the arrays {}, the model the inputs {}; give an .npz with an array \
             for each{labels}",
            list.join(", "),
            names(&graph.inputs)
        ));
    }
    let mut ports = graph.inputs.iter().zip(&order);
    let other = |(port, index): &(&Port, &usize)| {
        let array = &arrays[**index];
        array.size() != port.order.len() || !same_layout(&array.shape, &port.shape)
    };
    if let Some((port, &index)) = ports.find(other) {
        return Err(format!(
            "the {what} samples have shape {:?}, the model's input '{}' has {:?}",
            arrays[index].shape, port.name, port.shape
        ));
    }
    if !samples.data.len().is_multiple_of(samples.size()) {
        return Err(format!("the last sample of the {what} set is not complete"));
    }
    match order.len() == arrays.len() && order.is_sorted() {
        true => Ok(Cow::Borrowed(samples)),
        false => Ok(Cow::Owned(samples.select(&order))),
    }
}

/// Whether both have their axes in the same order, as far as that can be told: axes of one element
/// don't count, and flat samples tell nothing.
fn same_layout(sample: &[usize], input: &[usize]) -> bool {
    let axes = |shape: &[usize]| -> Vec<usize> {
        shape
            .iter()
            .copied()
            .filter(|&extent| extent != 1)
            .collect()
    };
    let sample = axes(sample);
    sample.len() <= 1 || sample == axes(input)
}

/// Labels, task and the test set's answers belong to the first output, that of a reconstruction to
/// all.
fn check_answers(request: &Request, graph: &Graph) -> Result<(), String> {
    let outputs = graph.outputs.iter().map(|port| port.order.len());
    let first = outputs.clone().next().unwrap_or(0);
    if !request.labels.is_empty() && request.labels.len() != first {
        return Err(format!(
            "there are {} labels but the output {} has {first} elements",
            request.labels.len(),
            names(graph.outputs.get(..1).unwrap_or_default())
        ));
    }
    let (outputs, elements) = (outputs.sum::<usize>(), graph.sample_size());
    if request.task == Task::Reconstruct && outputs != elements {
        return Err(format!(
            "its task is to reconstruct {elements} values but its output has {outputs}"
        ));
    }
    if let Some(test) = &request.test
        && test.y.len() != test.x.len()
    {
        return Err(format!(
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

#[cfg(test)]
mod tests {
    use super::same_layout;

    #[test]
    fn channels_last_is_not_channels_first() {
        assert!(same_layout(&[3, 32, 32], &[1, 3, 32, 32]));
        assert!(same_layout(&[1, 3, 128], &[1, 3, 1, 128]));
        assert!(same_layout(&[3072], &[1, 3, 32, 32]));
        assert!(!same_layout(&[32, 32, 3], &[1, 3, 32, 32]));
        assert!(!same_layout(&[128, 3], &[1, 3, 128]));
    }
}
