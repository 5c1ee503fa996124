//! States live from run to run; at reset they hold what the module says.
#![allow(clippy::unwrap_used)]

use core::task::Poll;

use lwm2m_objects::compute::{DType, TensorDescriptor};
use tinsmith_module::build::*;
use tinsmith_module::numerics::SumFactors;
use tinsmith_module::spec::Interpreter;
use tinsmith_module::{Arena, Module, ModuleError, SelfTest};

const N: u32 = 4;
const RESET: [i8; N as usize] = [10, -10, 100, 0];

fn tensor(name: &str, offset: u32) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: name.into(),
            dtype: DType::Int8,
            shape: vec![N],
            permutation: vec![0],
            axis: None,
            scales: vec![1.0],
            zero_points: vec![0],
            task: None,
        },
        segment: 0,
        offset,
    }
}

/// The output, which the state becomes, is the sum of input and state.
fn builder() -> ModuleBuilder {
    let mut builder = ModuleBuilder::new();
    let mut segment = |size, kind| {
        builder.segment(Segment {
            size,
            align: 4,
            kind,
        })
    };
    let scratch = segment(2 * N, SegmentKind::Scratch);
    let state = segment(N, SegmentKind::State);
    let view = |segment, offset| View::dense(segment, offset, 1, 1, N);
    builder.op(Add {
        a: view(scratch, 0),
        b: Operand::Arena(view(state, 0)),
        output: view(scratch, N),
        a_zero_point: 0,
        b_zero_point: 0,
        factors: SumFactors::add(1.0, 1.0, 1.0).unwrap(),
        clamp: Clamp::full(0),
    });
    builder.op(Copy {
        input: view(scratch, N),
        output: view(state, 0),
        shape: [1, 1, 1, N],
        input_start: 0,
        input_strides: [0, 0, 0, 1],
    });
    builder.input(tensor("x", 0));
    builder.output(tensor("sum", N));
    builder
}

fn with_reset() -> ModuleBuilder {
    let mut builder = builder();
    builder.reset(RESET.map(i8::cast_unsigned).to_vec());
    builder
}

fn run(module: &Module<'_>, arena: &mut [u8], x: i8) -> [i8; N as usize] {
    arena[module.input_range(0).unwrap()].fill(x.cast_unsigned());
    module.run(arena).unwrap();
    let sum = &arena[module.output_range(0).unwrap()];
    core::array::from_fn(|i| sum[i].cast_signed())
}

#[test]
fn states_begin_at_reset_and_go_on() {
    for (builder, start) in [(with_reset(), RESET), (builder(), [0; N as usize])] {
        let image = builder.finish().unwrap();
        let module = Module::parse(&image).unwrap();
        let mut arena = vec![0x55; module.arena_bytes()];
        let mut spec = Interpreter::new(&module);
        for _ in 0..2 {
            module.reset(&mut arena).unwrap();
            assert_eq!(run(&module, &mut arena, 1), start.map(|s| s + 1));
            assert_eq!(run(&module, &mut arena, 5), start.map(|s| s + 6));
        }
        for (x, sum) in [(1, 1), (5, 6)] {
            let input = [x; N as usize];
            let output = spec.run(&[&input]).unwrap().outputs.remove(0);
            assert_eq!(output, start.map(|s| (s + sum).cast_unsigned()));
        }
        assert!(module.reset(&mut arena[..4]).is_err());
        // Segments in memories of their own.
        let (mut scratch, mut state) = (vec![0x55; 2 * N as usize], vec![0x55; N as usize]);
        let memories = [scratch.as_mut_slice(), state.as_mut_slice()];
        module.reset_in(&mut Arena::new(module.arena(), memories).unwrap());
        assert_eq!(state, start.map(i8::cast_unsigned));
        assert!(scratch.iter().all(|&byte| byte == 0x55));
    }
}

#[test]
fn zeros_take_no_section() {
    let mut zeros = builder();
    zeros.reset(vec![0; N as usize]);
    assert_eq!(zeros.finish(), builder().finish());
    let image = with_reset().finish().unwrap();
    let module = Module::parse(&image).unwrap();
    assert_eq!(
        module.states_at_reset(),
        RESET.map(i8::cast_unsigned).as_slice()
    );
}

#[test]
fn other_than_the_states_bytes_are_refused() {
    for bytes in [vec![1], vec![1; N as usize + 1]] {
        let mut builder = builder();
        builder.reset(bytes);
        let error = builder.finish().unwrap_err();
        assert_eq!(error, BuildError::Load(ModuleError::Reset));
    }
}

/// The self test of a module with states: reset, then a sequence, at once and in steps, whatever was
/// in the arena.
#[test]
fn golden_sequences() {
    let mut builder = with_reset();
    let raw = (0..3 * N as u8).map(|i| i * 2).collect();
    for input in [
        GoldenInput::Seed(7),
        GoldenInput::Raw(raw),
        GoldenInput::Seed(8),
    ] {
        builder.golden_sequence_from_spec(input, 3).unwrap();
    }
    let image = builder.finish().unwrap();
    let module = Module::parse(&image).unwrap();
    assert!(module.goldens().all(|golden| golden.steps == 3));
    for budget in [1, 3, 5, u64::MAX] {
        let mut arena = vec![0x33; module.arena_bytes()];
        let mut test = SelfTest::new();
        let outcome = loop {
            if let Poll::Ready(outcome) = test.step(&module, &mut arena, budget) {
                break outcome;
            }
        };
        assert_eq!(outcome, Ok(()), "budget {budget}");
    }
    // Another state at reset is found.
    let mut other = RESET;
    other[3] = 1;
    let mut spoilt = image.clone();
    let [from, to] = [RESET, other].map(|r| r.map(i8::cast_unsigned));
    let at = image.windows(from.len()).position(|w| w == from).unwrap();
    spoilt[at..at + to.len()].copy_from_slice(&to);
    let module = Module::parse(&spoilt).unwrap();
    let mut arena = vec![0; module.arena_bytes()];
    assert!(module.self_test(&mut arena).is_err());
}
