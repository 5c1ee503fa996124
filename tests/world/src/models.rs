//! Models that are built at once: each adds a number to its inputs.

use lwm2m_objects::compute::{DType, Task, TensorDescriptor};
use tinsmith_digest::Digest;
use tinsmith_module::build::{
    GoldenInput, Lookup, ModuleBuilder, Segment, SegmentKind, TensorSpec, View,
};
use tinsmith_order::{Artefact, Job, JobResult, Unbuilt};

use crate::signers::Signers;

/// Values of an input and of an output.
pub const WIDTH: usize = 16;
/// About 4 KB: more than one erase unit.
const LAYERS: usize = 12;
/// The model whose module does not give what its golden inputs say: its trial must fail.
pub const BROKEN: &str = "broken";

/// What a model adds in each layer.
fn step(model: &str) -> u8 {
    model
        .bytes()
        .fold(1, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
}

/// The name of a model's ONNX file.
pub fn source(model: &str) -> Digest {
    Digest::of(model.as_bytes())
}

/// What the model answers.
pub fn expected(model: &str, input: &[u8]) -> Vec<u8> {
    let step = step(model);
    let layer = |x: u8, i: usize| x.wrapping_add(step).wrapping_add(i as u8);
    input.iter().map(|x| (0..LAYERS).fold(*x, layer)).collect()
}

fn tensor(name: &str, offset: u32, task: Option<Task>) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: name.into(),
            dtype: DType::Int8,
            shape: vec![WIDTH as u32],
            permutation: vec![0],
            axis: None,
            scales: vec![0.5],
            zero_points: vec![0],
            task,
        },
        segment: 0,
        offset,
    }
}

/// A model's module.
///
/// # Panics
/// Never: the module is a good one.
pub fn module(model: &str) -> Vec<u8> {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: 64,
        align: 16,
        kind: SegmentKind::Scratch,
    });
    builder.input(tensor("in", 0, None));
    builder.output(tensor("out", 16, Some(Task::Classify)));
    let step = step(model);
    for layer in 0..LAYERS {
        let from = if layer == 0 { 0 } else { 16 };
        let mut table = [0_i8; 256];
        // Indexed by the signed value plus 128.
        for (entry, x) in table.iter_mut().zip(-128_i16..) {
            *entry = (x as u8).wrapping_add(step).wrapping_add(layer as u8) as i8;
        }
        builder.op(Lookup {
            input: View::dense(0, from, 1, 1, WIDTH as u32),
            output: View::dense(0, 16, 1, 1, WIDTH as u32),
            table,
        });
    }
    if model == BROKEN {
        let wrong = vec![vec![0; WIDTH]; LAYERS];
        builder.golden(GoldenInput::Seed(7), &[vec![0; WIDTH]], &wrong);
    } else {
        builder
            .golden_from_spec(GoldenInput::Seed(7))
            .unwrap_or_else(|e| panic!("{e:?}"));
    }
    builder.finish().unwrap_or_else(|e| panic!("{e:?}"))
}

/// Does a job of the reconciler as the build service would; `impossible` can't be built.
pub fn job(job: &Job, signers: &Signers) -> JobResult {
    match job {
        Job::Build { model, .. } if model == "impossible" => {
            JobResult::Built(Err(Unbuilt::Refused {
                reason: "impossible".into(),
            }))
        }
        Job::Build { model, .. } => {
            let module = module(model);
            JobResult::Built(Ok(Artefact {
                module: Digest::of(&module),
                module_bytes: module.len() as u32,
                arena_bytes: 64,
                compile_ms: 1,
                cached: false,
                compiler: "world".into(),
            }))
        }
        Job::Package(job) => {
            let module = module(&job.model).into();
            let package = if signers.is_empty() {
                job.package(module)
            } else {
                job.signed(module, signers)
            };
            JobResult::Packaged(package.map_err(|reason| Unbuilt::Failed { reason }))
        }
        Job::Anchors(job) => {
            let package = job.signed(signers);
            JobResult::Anchors(package.map_err(|reason| Unbuilt::Failed { reason }))
        }
    }
}
