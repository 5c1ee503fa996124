//! Which boards can hold a model, and what is missing on the others?
//!
//!     cargo run --release --example fits_my_board [MODEL ...]
//!
//! Compiles the shipped models named (without a name all of them) for every target known.

use anyhow::{Context, Result};
use tinsmith_build::Zoo;
use tinsmith_build_job::CompileError;

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
        for target in tinsmith_targets::list() {
            let capability = tinsmith_targets::find(target).context("a target file is damaged")?;
            let request = model.request(capability)?;
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
