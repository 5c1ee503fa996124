//! Dimensions above 65,535: version 2 of a record.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Arena, Rng, compare, module};
use tinsmith_module::build::*;
use tinsmith_module::numerics::{Multiplier, SumFactors};
use tinsmith_module::plan::Problem;
use tinsmith_module::{ABI_VERSION, Host, Module, ModuleError, Refusal, kernels};

/// A prime, so that no other shape has as many elements.
const N: u32 = 65_537;

fn flat(arena: &mut Arena) -> View {
    arena.dense(1, 1, N)
}

fn ops() -> Vec<(Arena, Op)> {
    let mut rng = Rng(7);
    let mut all: Vec<(Arena, Op)> = Vec::new();
    let mut arena = Arena::default();
    let (input, output) = (flat(&mut arena), flat(&mut arena));
    let table = core::array::from_fn(|_| rng.next() as i8);
    all.push((
        arena,
        Lookup {
            input,
            output,
            table,
        }
        .into(),
    ));
    let mut arena = Arena::default();
    let a = flat(&mut arena);
    let add = Add {
        a,
        b: Operand::Const {
            values: rng.i8s(N as usize),
            shape: [1, 1, N],
        },
        output: a,
        a_zero_point: 3,
        b_zero_point: -4,
        factors: SumFactors::add(0.5, 0.25, 0.5).unwrap(),
        clamp: Clamp::full(1),
    };
    all.push((arena, add.into()));
    let mut arena = Arena::default();
    let layer = Layer {
        input: flat(&mut arena),
        output: arena.dense(1, 1, 2),
        input_zero_point: -1,
        clamp: Clamp::full(0),
        weights: rng.i8s(2 * N as usize),
        bias: vec![5, -5],
        multipliers: vec![Multiplier::new(1e-6).unwrap(); 2],
    };
    all.push((arena, FullyConnected { layer }.into()));
    let mut arena = Arena::default();
    let copy = Copy {
        input: flat(&mut arena),
        output: arena.dense(1, N - 1, 1),
        shape: [1, 1, 1, N - 1],
        input_start: N - 1,
        input_strides: [0, 0, 0, 0],
    };
    all.push((arena, copy.into()));
    let mut arena = Arena::default();
    let pad = Pad {
        input: flat(&mut arena),
        output: arena.dense(1, 1, N + 3),
        top: 0,
        left: 0,
        front: 2,
        value: 9,
    };
    all.push((arena, pad.into()));
    // Rows with a gap between them.
    let mut arena = Arena::default();
    let mut input = arena.dense(2, 1, N + 7);
    (input.channels, input.row_stride) = (N, N + 7);
    let requantize = Requantize {
        input,
        output: arena.dense(2, 1, N),
        input_zero_point: 2,
        multiplier: Multiplier::new(0.7).unwrap(),
        clamp: Clamp::full(-3),
    };
    all.push((arena, requantize.into()));
    all
}

#[test]
fn kernels_and_specification_agree() {
    for (arena, op) in ops() {
        compare(&mut Rng(1), &module(&arena, [op]));
    }
}

#[test]
fn such_a_record_needs_version_2_of_its_kernel() {
    for (arena, op) in ops() {
        let id = op.id();
        let image = module(&arena, [op]);
        let module = Module::parse(&image).unwrap();
        assert_eq!(module.kernels().collect::<Vec<_>>(), [(id, 2)]);
        let host = |kernels| Host {
            abi: ABI_VERSION,
            kernels,
            instruction_sets: 0,
            arena_bytes: module.arena_bytes(),
            stack_bytes: kernels::STACK_BYTES as usize,
        };
        assert_eq!(module.check_host(&host(kernels::RESIDENT)), Ok(()));
        let refused = Err(Refusal::Kernel { id, version: 2 });
        assert_eq!(module.check_host(&host(&[(id, 1)])), refused);
    }
}

#[test]
fn version_1_has_no_wide_views_and_constants() {
    for (arena, op) in ops() {
        let mut image = module(&arena, [op]);
        // One record of version 2: number of records, zero, operator with its highest bit, version.
        let is_head = |w: &[u8]| w[..4] == [1, 0, 0, 0] && w[5..] == [0x80, 2, 0];
        let at = image.windows(8).position(is_head).unwrap();
        image[at + 6] = 1;
        let problem = Problem::Reserved;
        assert_eq!(
            Module::parse(&image).err(),
            Some(ModuleError::Record { layer: 0, problem })
        );
    }
}

#[test]
fn small_records_are_still_of_version_1() {
    let mut arena = Arena::default();
    let input = arena.dense(1, 1, 65_535);
    let lookup = Lookup {
        input,
        output: input,
        table: [0; 256],
    };
    let image = module(&arena, [lookup.into()]);
    let module = Module::parse(&image).unwrap();
    assert_eq!(module.kernels().collect::<Vec<_>>(), [(9, 1)]);
}
