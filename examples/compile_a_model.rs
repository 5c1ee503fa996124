//! How do I compile a model from my own program, and what do I get?
//!
//!     cargo run --release --example compile_a_model [MODEL [TARGET]]
//!
//! Takes a shipped model; for an ONNX file of your own fill the same `Request` from files. A file
//! of unknown origin belongs in `tinsmith_build_job::child::compile`, which runs the same build in a process
//! of its own with limits on memory and time.

use anyhow::{Context, Result};
use tinsmith_build::Zoo;
use tinsmith_build_job::Request;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "motion".into());
    let target = arguments.next().unwrap_or_else(|| "nrf52840".into());

    let model = Zoo::shipped().find(&model)?;
    let capability = tinsmith_targets::find(&target).with_context(|| {
        let known: Vec<&str> = tinsmith_targets::list().collect();
        format!("no target '{target}'; there are: {}", known.join(", "))
    })?;
    let request = Request {
        test: model.test()?,
        ..model.request(capability)?
    };
    let compiled = tinsmith_compiler::compile(&request, &mut |progress| {
        eprintln!("{:3.0} % {}", progress.fraction * 100.0, progress.stage);
    })?;

    let report = &compiled.report;
    println!("{} for {}", report.model, report.target);
    println!("module     {} bytes", compiled.module.len());
    println!("  weights  {} bytes", report.weights_bytes);
    println!("arena      {} bytes of RAM", report.arena_bytes);
    println!("work       {} multiply-accumulates", report.macs);
    if let (Some(name), Some(float), Some(int8)) =
        (&report.metric, report.metric_float, report.metric_int8)
    {
        let samples = report.samples;
        println!("{name:<10} float {float:.4}, int8 {int8:.4} on {samples} held-out samples");
    }
    println!("build key  {} (equal keys, equal bytes)", report.build_key);
    Ok(())
}
