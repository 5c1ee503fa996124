//! The stages of a build, in their order.

use std::borrow::Cow;
use std::time::Instant;

use tinsmith_build_job::{
    CompileError, Compiled, FloatCheck, MEASURE, ModelError, Problem, Progress, Request,
};
use tinsmith_module::Module;

use super::backend::{self, BackendError};
use super::engine::{Kernels, Spec};
use super::ir::Graph;
use super::plan::{self, Plan};
use super::verify::{self, Runner};
use super::write::{Built, Extras, write};
use super::{
    check, compare, data, fit, golden, import, metric, operators, oracle, passes, precision,
    quantize, report,
};

/// What a model became before its module is verified.
pub(crate) struct Build<'r> {
    /// What was asked, with samples in the order of the graph's inputs.
    pub request: Cow<'r, Request>,
    /// The rewritten graph in floats.
    pub float: Graph,
    /// The same graph, quantized.
    pub graph: Graph,
    /// Its plan.
    pub plan: Plan,
    /// Its module.
    pub built: Built,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// What our floats were compared with.
    pub float_check: FloatCheck,
}

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
    let Build {
        request: arranged,
        float,
        graph,
        plan,
        built,
        macs,
        float_check,
    } = build(request, &mut stage)?;
    let module =
        Module::parse(&built.image).map_err(|e| internal(request, "write", e.to_string()))?;
    fit::fit(&request.name, &request.capability, &module)?;
    stage("verify", 0.6);
    let reference =
        Module::parse(&built.reference).map_err(|e| internal(request, "write", e.to_string()))?;
    let kernels = Kernels::new(&module);
    let samples = &arranged.options.calibration;
    verify::verify(&graph, &kernels, &Spec::new(&reference), samples)
        .map_err(|e| internal(request, "verify", e))?;
    let noise = verify::noise(&graph, &kernels, &built.layers, &float, samples);
    let warnings = precision::findings(&graph, &built.layers, &noise);
    if !warnings.is_empty() && !request.options.allow_low_sqnr {
        return Err(CompileError::LowSqnr {
            model: request.name.clone(),
            findings: warnings,
        });
    }
    let sqnr: Vec<Option<f64>> = noise.layers.iter().map(verify::Power::db).collect();
    let runner = Runner::new(&graph, &kernels);
    let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    stage(MEASURE, 0.75);
    if let Some(test) = &arranged.test {
        metric::check_labels(request.task, &float, &test.y).map_err(|problem| {
            CompileError::Data {
                model: request.name.clone(),
                problem,
            }
        })?;
    }
    let measured = match &arranged.test {
        Some(test) => Some(
            metric::measure(request.task, &float, &runner, test)
                .map_err(|e| internal(request, "measure", e))?,
        ),
        None => None,
    };
    let report = report::report(&report::Parts {
        request,
        graph: &graph,
        plan: &plan,
        module: &module,
        built: &built,
        float_check,
        macs,
        compile_ms,
        sqnr: &sqnr,
        warnings,
        measured,
    });
    stage("done", 1.0);
    Ok(Compiled {
        module: built.image,
        report,
    })
}

/// From the file to the module's bytes.
pub(crate) fn build<'r>(
    request: &'r Request,
    stage: &mut dyn FnMut(&str, f32),
) -> Result<Build<'r>, CompileError> {
    stage("check", 0.0);
    let checked = check::examine(&request.name, &request.onnx)?;
    stage("import", 0.05);
    let typed = match checked.faults.is_empty() {
        true => oracle::Typed::new(&checked.model),
        false => Err("nodes of it can't be imported".into()),
    };
    let typed = typed.as_ref().map_err(String::as_str);
    let imported = import::import(&request.name, &checked, typed.ok(), &operators::find)?;
    data::check_size(request, &imported.graph)?;
    let arranged = data::arranged(request, &imported.graph)?;
    let request = &*arranged;
    stage("compare", 0.1);
    compare::check_values(request, &imported)?;
    let float_check =
        compare::compare(request, &imported, typed).map_err(|e| internal(request, "compare", e))?;
    stage("optimize", 0.2);
    let mut graph = imported.graph.clone();
    let mut legalise = |graph: &mut Graph| {
        let mut backends = backend::ALL.iter();
        backends.try_for_each(|backend| backend.legalise(graph))
    };
    let samples = Some(&request.options.calibration);
    passes::optimize(&mut graph, samples, &mut legalise)
        .map_err(|e| internal(request, "optimize", e))?;
    compare::same_outputs(request, &imported.graph, &graph)
        .map_err(|e| internal(request, "optimize", e))?;
    stage("calibrate", 0.3);
    let mut ranges =
        quantize::calibrate(&graph, &request.options.calibration).map_err(|problem| {
            CompileError::Data {
                model: request.name.clone(),
                problem,
            }
        })?;
    quantize::include_padding(&mut graph, &mut ranges);
    let float = graph.clone();
    stage("quantize", 0.5);
    quantize::quantize(&mut graph, &ranges).map_err(|e| internal(request, "quantize", e))?;
    let plan = plan::plan(&graph, backend::ALL).map_err(|e| refused(request, e))?;
    stage("write", 0.55);
    let macs = report::macs(&graph);
    let extras = Extras {
        task: request.task,
        labels: &request.labels,
        golden: &golden::inputs(request, &graph),
        macs,
    };
    let built = write(&graph, &plan, &extras).map_err(|e| refused(request, e))?;
    Ok(Build {
        request: arranged,
        float,
        graph,
        plan,
        built,
        macs,
        float_check,
    })
}

fn internal(request: &Request, stage: &str, problem: String) -> CompileError {
    CompileError::Internal {
        model: request.name.clone(),
        stage: stage.into(),
        problem,
    }
}

fn refused(request: &Request, error: BackendError) -> CompileError {
    match error {
        BackendError::Factor(_) => CompileError::Data {
            model: request.name.clone(),
            problem: format!(
                "{error}; neighbouring layers work on values of wildly different size: train again"
            ),
        },
        BackendError::Impossible(what) => CompileError::Model(Box::new(ModelError {
            model: request.name.clone(),
            node: None,
            operator: None,
            problem: Problem::Unsupported {
                what: format!("no kernel can do this: {what}; use batch 1 and standard layers"),
            },
        })),
        error => internal(request, "write", error.to_string()),
    }
}
