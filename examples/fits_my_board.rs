//! Which boards can hold a model, and what is missing on the others?
//!
//!     cargo run --release --example fits_my_board [MODEL ...]
//!     cargo run --release --example fits_my_board model.onnx calibration.npz
//!
//! Compiles shipped models (without a name all of them), or one's own with samples of its input,
//! for every target known.

use anyhow::{Context, Result};
use lwm2m_objects::capability::Capability;
use tinsmith_build::Zoo;
use tinsmith_build_job::{CompileError, Options, Request, Task};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let targets: Vec<(&str, Capability)> = tinsmith_targets::list()
        .map(|name| Some((name, tinsmith_targets::find(name)?)))
        .collect::<Option<_>>()
        .context("a target file is damaged")?;
    let (_, some) = targets.first().context("there are no targets")?;
    let requests = match &arguments[..] {
        [onnx, samples] if onnx.ends_with(".onnx") => vec![own(onnx, samples, some)?],
        names => shipped(names, some)?,
    };
    for mut request in requests {
        println!("{}", request.name);
        for (target, capability) in &targets {
            request.capability = capability.clone();
            let platform = &request.capability.platform;
            let (ram, flash) = (platform.arena_total, platform.max_module_size);
            match tinsmith_compiler::compile(&request, &mut |_| {}) {
                Ok(compiled) => println!(
                    "  {target:<10} fits: module {} of {flash} bytes, arena {} of {ram} bytes",
                    compiled.module.len(),
                    compiled.report.arena_bytes,
                ),
                Err(CompileError::DoesNotFit { missing, .. }) => {
                    println!("  {target:<10} does not fit:");
                    for misfit in missing {
                        println!("    {misfit}");
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn shipped(names: &[String], target: &Capability) -> Result<Vec<Request>> {
    let zoo = Zoo::shipped();
    let models = match names {
        [] => zoo.list(),
        names => names
            .iter()
            .map(|name| zoo.find(name))
            .collect::<Result<_, _>>()?,
    };
    models
        .iter()
        .map(|model| Ok(model.request(target.clone())?))
        .collect()
}

/// A model from a file, with samples of its input (.npz or .npy).
fn own(onnx: &str, samples: &str, target: &Capability) -> Result<Request> {
    let read = |path: &str| std::fs::read(path).with_context(|| format!("cannot read {path}"));
    let calibration = tinsmith_samples::samples(&read(samples)?)
        .with_context(|| format!("cannot use {samples}"))?;
    Ok(Request {
        name: onnx.to_owned(),
        version: String::new(),
        onnx: read(onnx)?,
        task: Task::Classify,
        labels: Vec::new(),
        capability: target.clone(),
        options: Options::new(calibration),
        test: None,
    })
}
