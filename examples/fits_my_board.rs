//! Which boards can hold a model, and what is missing on the others?
//!
//!     cargo run --release --example fits_my_board [MODEL ...]
//!
//! Compiles the shipped models named (without a name all of them) for every target known.

use anyhow::{Context, Result};
use tinsmith::compiler::{self, CompileError, Options, Request, targets};
use tinsmith::zoo::Zoo;

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let zoo = Zoo::shipped();
    let models = match &names[..] {
        [] => zoo.list(),
        names => names
            .iter()
            .map(|name| zoo.find(name))
            .collect::<Result<_, _>>()?,
    };
    for model in models {
        println!("{}", model.card.name);
        for target in targets::list() {
            let request = Request {
                name: model.card.name.clone(),
                version: model.card.version.clone(),
                onnx: model.onnx.to_vec(),
                task: model.card.task,
                labels: model.classes(),
                capability: targets::find(target).context("a target file is damaged")?,
                options: Options::new(model.calibration()?),
                test: None,
            };
            let platform = &request.capability.platform;
            let (ram, flash) = (platform.arena_total, platform.max_module_size);
            match compiler::compile(&request, &mut |_| {}) {
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
