//! ONNX in, module out.
//!
//! A build runs in stages: check the file, infer shapes, import, compare with tract, rewrite,
//! calibrate, quantize, plan, write, verify, fit, measure. The module's bytes depend on the ONNX
//! file, the capability and the options only, see [`Request::build_key`]. Files of unknown origin are
//! compiled in a process of its own, with limits on memory and time:
//! [`tinsmith_build_job::child`].

mod backend;
mod check;
mod fit;
mod import;
mod ir;
mod metric;
mod oracle;
mod passes;
mod plan;
mod quantize;
mod report;
mod score;
mod verify;
mod wire;

use std::collections::HashMap;
use std::time::Instant;

use tinsmith_build_job::{
    CompileError, Compiled, MEASURE, ModelError, Problem, Progress, Request, Task,
};
use tinsmith_module::build::GoldenInput;
use tinsmith_module::{Module, numerics};

pub use score::float_scores;

use ir::Graph;
use ir::eval::Evaluator;

/// Version of the compiler; part of every build key.
pub const COMPILER_VERSION: &str = concat!("tinsmith ", env!("CARGO_PKG_VERSION"));

/// Seeds of the golden inputs that every module carries.
const GOLDEN_SEEDS: [u32; 2] = [0x7473_6d31, 0x7473_6d32];
/// A raw sample up to this many bytes is a golden input too.
const MAX_RAW_GOLDEN: usize = 2048;
/// Samples on which every tensor is compared with tract.
const ORACLE_SAMPLES: usize = 3;
/// Most activation elements of a model, all tensors together.
const MAX_ACTIVATIONS: usize = 1 << 24;

/// Runs a build in this process. Files of unknown origin belong in
/// [`tinsmith_build_job::child::compile`].
pub fn compile(
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compiled, CompileError> {
    let started = Instant::now();
    let mut stage = |name: &str, fraction: f32| {
        progress(Progress {
            stage: name.into(),
            fraction,
        });
    };
    let internal = |stage: &str, problem: String| CompileError::Internal {
        model: request.name.clone(),
        stage: stage.into(),
        problem,
    };
    stage("check", 0.0);
    let checked = check::check(&request.name, &request.onnx)?;
    stage("import", 0.05);
    let typed = oracle::Typed::new(&request.name, &checked.model)?;
    let imported = import::import(&request.name, &checked, &typed)?;
    check_size(request, &imported.graph)?;
    check_data(request, &imported.graph)?;
    stage("compare", 0.1);
    check_values(request, &imported)?;
    compare(request, &imported, &typed).map_err(|e| internal("compare", e))?;
    stage("optimize", 0.2);
    let mut graph = imported.graph.clone();
    passes::optimize(&mut graph).map_err(|e| internal("optimize", e))?;
    same_outputs(request, &imported.graph, &graph).map_err(|e| internal("optimize", e))?;
    stage("calibrate", 0.3);
    let ranges = quantize::calibrate(&graph, &request.options.calibration).map_err(|problem| {
        CompileError::Data {
            model: request.name.clone(),
            problem,
        }
    })?;
    let float = graph.clone();
    stage("quantize", 0.5);
    quantize::quantize(&mut graph, &ranges).map_err(|e| internal("quantize", e))?;
    let plan = plan::plan(&graph);
    stage("write", 0.55);
    let macs = report::macs(&graph);
    let golden = golden_inputs(request, &graph);
    let extras = backend::portable::Extras {
        task: request.task,
        labels: &request.labels,
        golden: &golden,
        macs,
    };
    let built = backend::portable::build(&graph, &plan, &extras).map_err(|error| match error {
        backend::portable::BackendError::Factor(_) => CompileError::Data {
            model: request.name.clone(),
            problem: format!(
                "{error}; neighbouring layers work on values of wildly different size: train again"
            ),
        },
        backend::portable::BackendError::Impossible(what) => {
            CompileError::Model(Box::new(ModelError {
                model: request.name.clone(),
                node: None,
                operator: None,
                problem: Problem::Unsupported {
                    what: format!("no kernel can do this: {what}; use batch 1 and standard layers"),
                },
            }))
        }
        error => internal("write", error.to_string()),
    })?;
    let module = Module::parse(&built.image).map_err(|e| internal("write", e.to_string()))?;
    fit::fit(&request.name, &request.capability, &module)?;
    stage("verify", 0.6);
    let runner = verify::Runner::new(&graph, &module).map_err(|e| internal("verify", e))?;
    runner
        .verify(&request.options.calibration)
        .map_err(|e| internal("verify", e))?;
    let sqnr = runner.noise(&float, &plan, &request.options.calibration);
    let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    stage(MEASURE, 0.75);
    let measured = match &request.test {
        Some(test) => Some(
            metric::measure(request.task, &float, &runner, test)
                .map_err(|e| internal("measure", e))?,
        ),
        None => None,
    };
    let report = report::report(&report::Parts {
        request,
        graph: &graph,
        plan: &plan,
        module: &module,
        weights_bytes: built.weights_bytes,
        macs,
        compile_ms,
        sqnr: &sqnr,
        measured,
    });
    stage("done", 1.0);
    Ok(Compiled {
        module: built.image,
        report,
    })
}

/// The work and memory of a build are bounded.
fn check_size(request: &Request, graph: &Graph) -> Result<(), CompileError> {
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
fn check_data(request: &Request, graph: &Graph) -> Result<(), CompileError> {
    let wrong = |problem: String| {
        Err(CompileError::Data {
            model: request.name.clone(),
            problem,
        })
    };
    let (Some(input), Some(output)) = (graph.inputs.first(), graph.outputs.first()) else {
        return wrong("the model has no input or no output".into());
    };
    let elements: usize = input.shape.iter().product();
    let sets = [("calibration", Some(&request.options.calibration))]
        .into_iter()
        .chain([("test", request.test.as_ref().map(|test| &test.x))]);
    for (what, samples) in sets {
        let Some(samples) = samples else { continue };
        if samples.is_empty() {
            return wrong(format!("the {what} set is empty; give at least one sample"));
        }
        if samples.size() != elements || samples.data.len() % elements != 0 {
            return wrong(format!(
                "the {what} samples have shape {:?}, the model's input '{}' has {:?}",
                samples.shape, input.name, input.shape
            ));
        }
    }
    let outputs: usize = output.shape.iter().product();
    if !request.labels.is_empty() && request.labels.len() != outputs {
        return wrong(format!(
            "there are {} labels but the output {} has {outputs} elements",
            request.labels.len(),
            output.name
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

/// The float model gives numbers on the samples that follow.
fn check_values(request: &Request, imported: &import::Imported) -> Result<(), CompileError> {
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
fn compare(
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
fn same_outputs(request: &Request, before: &Graph, after: &Graph) -> Result<(), String> {
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

fn golden_inputs(request: &Request, graph: &Graph) -> Vec<GoldenInput> {
    let seeds = usize::from(request.options.golden_seeds);
    let mut golden: Vec<GoldenInput> = GOLDEN_SEEDS
        .iter()
        .take(seeds)
        .map(|&seed| GoldenInput::Seed(seed))
        .collect();
    if let (true, Some(input), Some(sample)) = (
        request.options.golden_sample,
        graph.inputs.first(),
        request.options.calibration.iter().next(),
    ) && sample.len() <= MAX_RAW_GOLDEN
    {
        golden.push(GoldenInput::Raw(stored(graph, input, sample)));
    }
    golden
}

/// A sample in ONNX order as the bytes of an input tensor.
fn stored(graph: &Graph, port: &ir::Port, sample: &[f32]) -> Vec<u8> {
    let quantization = graph.tensor(port.tensor).quantization.as_ref();
    let scale = quantization
        .and_then(|q| q.scale.first())
        .copied()
        .unwrap_or(1.0);
    let zero = quantization
        .and_then(|q| q.zero.first())
        .copied()
        .unwrap_or(0);
    port.order
        .iter()
        .map(|&i| sample.get(i as usize).copied().unwrap_or(0.0))
        .map(|x| numerics::quantize(x, scale, zero).cast_unsigned())
        .collect()
}

#[cfg(test)]
mod tests;
