//! Time to compile each shipped model for a Cortex-M4, and to run the result on this machine with
//! the portable kernels.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tinsmith_build::{Model, Zoo};
use tinsmith_build_job::Request;
use tinsmith_compiler::compile;
use tinsmith_module::Module;

fn request(model: &Model) -> Request {
    let capability = tinsmith_targets::find("stm32f446re").unwrap_or_else(|| panic!("no target"));
    model.request(capability).unwrap_or_else(|e| panic!("{e}"))
}

fn models(c: &mut Criterion) {
    for model in Zoo::shipped().list() {
        let request = request(&model);
        let name = &model.card.name;
        // Not each model fits each target.
        let Ok(compiled) = compile(&request, &mut |_| {}) else {
            eprintln!("{name} does not compile for this target");
            continue;
        };
        let mut group = c.benchmark_group("compile");
        group.sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| compile(black_box(&request), &mut |_| {}));
        });
        group.finish();

        let module = Module::parse(&compiled.module).unwrap_or_else(|e| panic!("{e:?}"));
        let mut arena = vec![0; module.arena_bytes()];
        let mut group = c.benchmark_group("inference");
        group.throughput(Throughput::Elements(module.macs()));
        group.bench_function(name, |b| b.iter(|| module.run(black_box(&mut arena))));
        group.finish();
    }
}

criterion_group!(benches, models);
criterion_main!(benches);
