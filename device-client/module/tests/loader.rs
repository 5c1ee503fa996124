//! The loader trusts nothing, and the self test finds what a loader cannot.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Arena, Rng, tensor};
use lwm2m_objects::compute::Task;
use tinsmith_module::build::*;
use tinsmith_module::numerics::{Multiplier, SumFactors};
use tinsmith_module::plan::Problem;
use tinsmith_module::{ABI_VERSION, Class, Host, Module, ModuleError, Refusal, SelfTestError};
use tinsmith_module::{kernels, spec};

/// A small classifier that uses every operator, and its arena.
fn builder() -> (ModuleBuilder, u32) {
    let mut rng = Rng(7);
    let mut arena = Arena::default();
    let image = arena.dense(5, 4, 2);
    let padded = arena.dense(6, 6, 2);
    let features = arena.dense(6, 6, 5);
    let depth = arena.dense(3, 3, 5);
    let most = arena.dense(2, 2, 5);
    let mean = arena.dense(2, 2, 5);
    let both = arena.dense(2, 2, 10);
    let turned = arena.dense(10, 2, 2);
    let scores = arena.dense(1, 1, 3);
    let three = |n| vec![Multiplier::new(0.003).unwrap(); n];
    let mut builder = ModuleBuilder::new();
    builder.op(Pad {
        input: image,
        output: padded,
        top: 1,
        left: 1,
        front: 0,
        value: 3,
    });
    builder.op(Conv2d {
        window: Window {
            pad_top: 1,
            pad_left: 1,
            ..Window::new(3, 3)
        },
        layer: Layer {
            input: padded,
            output: features,
            input_zero_point: 3,
            clamp: Clamp {
                zero_point: -20,
                low: -20,
                high: 127,
            },
            weights: rng.i8s(90),
            bias: vec![100, -100, 0, 50, 1000],
            multipliers: three(5),
        },
    });
    builder.op(DepthwiseConv {
        window: Window {
            stride_y: 2,
            stride_x: 2,
            pad_top: 1,
            pad_left: 1,
            ..Window::new(3, 3)
        },
        layer: Layer {
            input: features,
            output: depth,
            input_zero_point: -20,
            clamp: Clamp::full(0),
            weights: rng.i8s(45),
            bias: vec![0; 5],
            multipliers: three(5),
        },
    });
    let factors = SumFactors::sub(0.1, 0.2, 0.15).unwrap();
    builder.op(Add {
        a: depth,
        b: Operand::Const {
            values: vec![1, 2, 3, 4, 5],
            shape: [1, 1, 5],
        },
        output: depth,
        a_zero_point: 0,
        b_zero_point: -4,
        factors,
        clamp: Clamp::full(2),
    });
    builder.op(MaxPool {
        input: depth,
        output: most,
        window: Window::new(2, 2),
        low: -100,
        high: 100,
    });
    builder.op(AveragePool {
        input: depth,
        output: mean,
        window: Window {
            pad_top: 1,
            stride_y: 2,
            ..Window::new(2, 2)
        },
        input_zero_point: 2,
        clamp: Clamp::full(5),
        count_include_pad: false,
        input_scale: 0.15,
        output_scale: 0.12,
    });
    builder.op(Mul {
        a: mean,
        b: Operand::Arena(most),
        output: mean,
        a_zero_point: 5,
        b_zero_point: 2,
        multiplier: Multiplier::new(0.02).unwrap(),
        clamp: Clamp::full(1),
    });
    builder.op(Requantize {
        input: mean,
        output: mean,
        input_zero_point: 1,
        multiplier: Multiplier::new(1.3).unwrap(),
        clamp: Clamp::full(-1),
    });
    builder.op(Concat {
        inputs: vec![
            ConcatInput {
                view: mean,
                requantize: None,
            },
            ConcatInput {
                view: most,
                requantize: Some((2, Multiplier::new(0.9).unwrap())),
            },
        ],
        output: both,
        axis: Axis::Channels,
        clamp: Clamp::full(-1),
    });
    builder.op(Lookup {
        input: both,
        output: both,
        table: core::array::from_fn(|i| (i as i32 - 128).clamp(-100, 90) as i8),
    });
    builder.op(Copy {
        input: both,
        output: turned,
        shape: [1, 10, 2, 2],
        input_start: 0,
        input_strides: [0, 1, 20, 10],
    });
    builder.op(FullyConnected {
        layer: Layer {
            input: turned,
            output: scores,
            input_zero_point: -1,
            clamp: Clamp::full(0),
            weights: rng.i8s(120),
            bias: vec![5, 6, 7],
            multipliers: three(3),
        },
    });
    builder.op(Softmax {
        input: scores,
        output: scores,
        table: core::array::from_fn(|d| ((-0.05 * d as f64).exp() * f64::from(1 << 22)) as u32),
    });
    builder.segment(Segment {
        size: arena.bytes,
        align: 16,
        kind: SegmentKind::Scratch,
    });
    builder.input(tensor(image.offset, 40, None));
    let mut output = tensor(scores.offset, 3, Some(Task::Classify));
    output.descriptor.scales = vec![1.0 / 256.0];
    output.descriptor.zero_points = vec![-128];
    builder.output(output);
    for label in ["still", "walking", "running"] {
        builder.label(label);
    }
    builder.macs(5_000);
    (builder, arena.bytes)
}

fn image() -> Vec<u8> {
    let (mut builder, _) = builder();
    builder.golden_from_spec(GoldenInput::Seed(1)).unwrap();
    builder
        .golden_from_spec(GoldenInput::Raw((0..40).collect()))
        .unwrap();
    builder.finish().unwrap()
}

fn host() -> Host<'static> {
    Host {
        abi: ABI_VERSION,
        kernels: kernels::RESIDENT,
        instruction_sets: 0,
        arena_bytes: 4096,
        stack_bytes: 4096,
    }
}

#[test]
fn a_good_module_loads_runs_and_tests_itself() {
    let image = image();
    let module = Module::parse(&image).unwrap();
    assert_eq!(module.check_host(&host()), Ok(()));
    assert_eq!(
        module.labels().collect::<Vec<_>>(),
        ["still", "walking", "running"]
    );
    assert_eq!(module.macs(), 5_000);
    assert_eq!(module.layer_count(), 13);
    assert_eq!(module.kernels().count(), 13);
    assert_eq!(module.input_descriptor()[0], 0x81);
    let mut arena = vec![0x77; module.arena_bytes()];
    module.self_test(&mut arena).unwrap();

    let input: Vec<u8> = (100..140).collect();
    let expected = spec::run(&module, &[&input]).unwrap();
    arena[module.input_range(0).unwrap()].copy_from_slice(&input);
    let class = module.run(&mut arena).unwrap();
    assert_eq!(class, expected.class);
    assert!(class.is_some());
    // 2 golden inputs of one step each, 40 bytes of input.
    assert_eq!(module.self_test_work(), 2 * (module.work() + 40));
    assert_eq!(arena[module.output_range(0).unwrap()], expected.outputs[0]);
    assert!(spec::run(&module, &[&input[1..]]).is_err());
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    assert_eq!(image(), image());
}

#[test]
fn overhead_is_small() {
    let image = image();
    let module = Module::parse(&image).unwrap();
    // 13 records, two golden inputs, three labels, two descriptors.
    let overhead = image.len() - module.const_bytes();
    assert!(overhead < 1400, "{overhead}");
}

#[test]
fn bytes_after_the_image_are_ignored() {
    let mut image = image();
    let length = image.len();
    image.extend_from_slice(&[0xff; 100]);
    assert_eq!(Module::parse(&image).unwrap().image().len(), length);
}

#[test]
fn every_truncation_is_refused() {
    let image = image();
    for length in 0..image.len() {
        assert_eq!(
            Module::parse(&image[..length]).err(),
            Some(ModuleError::Truncated)
        );
    }
}

/// Everything a device does with a module.
fn use_it(image: &[u8]) -> bool {
    let Ok(module) = Module::parse(image) else {
        return false;
    };
    let _ = module.check_host(&host());
    let _ = module.labels().count() + module.goldens().count() + module.inputs().count();
    // A changed size may ask for an arena that check_host refuses.
    if module.arena_bytes() < 1 << 16 {
        let mut arena = vec![0; module.arena_bytes()];
        let _ = module.run(&mut arena);
        // A long sequence takes its time.
        if module.goldens().all(|golden| golden.steps < 8) {
            let _ = module.self_test(&mut arena);
        }
    }
    true
}

#[test]
fn no_changed_byte_panics() {
    let image = image();
    let (mut accepted, mut refused) = (0, 0);
    for at in 0..image.len() {
        let good = image[at];
        let values = (0..8)
            .map(|bit| good ^ 1 << bit)
            .chain([0, 1, 0x7f, 0x80, 0xff, !good]);
        for value in values {
            let mut bad = image.clone();
            bad[at] = value;
            if use_it(&bad) {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    println!("{accepted} changed modules load, {refused} are refused");
    assert!(refused > 1000);
}

#[test]
fn no_pair_of_changed_bytes_panics() {
    let image = image();
    let mut rng = Rng(3);
    let head = 900.min(image.len() as i64);
    for _ in 0..20_000 {
        let mut bad = image.clone();
        for _ in 0..rng.range(2, 4) {
            let at = rng.range(0, head - 1) as usize;
            bad[at] = rng.next() as u8;
        }
        use_it(&bad);
    }
}

#[test]
fn random_bytes_are_refused() {
    let mut rng = Rng(11);
    for _ in 0..2_000 {
        let n = rng.size(0, 400) as usize;
        let mut bytes: Vec<u8> = (0..n).map(|_| rng.next() as u8).collect();
        if rng.chance(80) && n > 12 {
            bytes[..12].copy_from_slice(b"TNSM\x01\0\x01\0\x01\0\0\0");
        }
        assert!(!use_it(&bytes));
    }
}

/// Offset of the section table.
fn sections(image: &[u8]) -> usize {
    48 + usize::from(image[40]) * 8 + usize::from(image[41]) * 4
}

fn section(image: &[u8], kind: u16) -> (usize, usize) {
    let entry = (0..usize::from(image[42]))
        .map(|i| sections(image) + i * 12)
        .find(|&at| image[at..at + 2] == kind.to_le_bytes())
        .unwrap();
    let start = u32::from_le_bytes(image[entry + 4..entry + 8].try_into().unwrap()) as usize;
    (entry, start)
}

#[test]
fn an_unknown_section_is_skipped_unless_it_must_be_understood() {
    let mut image = image();
    let (labels, _) = section(&image, 5);
    image[labels] = 99;
    assert_eq!(Module::parse(&image).unwrap().labels().count(), 0);
    image[labels + 1] = 0x80;
    assert_eq!(
        Module::parse(&image).err(),
        Some(ModuleError::UnknownSection(99))
    );
}

#[test]
fn code_and_preprocessing_are_refused_when_they_must_be_understood() {
    for kind in [2, 7] {
        let mut image = image();
        let (labels, _) = section(&image, 5);
        image[labels] = kind;
        image[labels + 1] = 0x80;
        let kind = u16::from(kind);
        assert_eq!(
            Module::parse(&image).err(),
            Some(ModuleError::UnknownSection(kind))
        );
    }
}

#[test]
fn an_unknown_record_is_skipped_unless_it_must_be_understood() {
    let mut image = image();
    let (_, plan) = section(&image, 0x8001);
    for operator in [0x40u16, 0x41, 0x42, 0x7fff] {
        image[plan + 4..plan + 6].copy_from_slice(&(operator | 0x8000).to_le_bytes());
        assert_eq!(
            Module::parse(&image).err(),
            Some(ModuleError::UnknownRecord {
                layer: 0,
                operator,
                version: 1
            })
        );
        image[plan + 4..plan + 6].copy_from_slice(&operator.to_le_bytes());
        let module = Module::parse(&image).unwrap();
        assert_eq!(module.records().count(), 12);
    }
}

#[test]
fn a_newer_version_of_an_operator_is_refused() {
    let mut image = image();
    let (_, plan) = section(&image, 0x8001);
    image[plan + 6] = 3;
    assert_eq!(
        Module::parse(&image).err(),
        Some(ModuleError::UnknownRecord {
            layer: 0,
            operator: 11,
            version: 3
        })
    );
}

#[test]
fn versions_and_magic_are_checked() {
    let good = image();
    for (at, error) in [
        (0, ModuleError::Magic),
        (4, ModuleError::ContainerVersion(9)),
        (6, ModuleError::NumericsVersion(9)),
        (10, ModuleError::Reserved),
        (24, ModuleError::EntryPoint),
    ] {
        let mut bad = good.clone();
        bad[at] = 9;
        assert_eq!(Module::parse(&bad).err(), Some(error));
    }
}

#[test]
fn a_host_that_lacks_something_refuses_by_name() {
    let mut image = image();
    let module = Module::parse(&image).unwrap();
    let needed = module.arena_bytes();
    let small = Host {
        arena_bytes: needed - 10,
        ..host()
    };
    assert_eq!(
        module.check_host(&small),
        Err(Refusal::Arena {
            needed,
            missing: 10
        })
    );
    let few = Host {
        kernels: &kernels::RESIDENT[..8],
        ..host()
    };
    assert_eq!(
        module.check_host(&few),
        Err(Refusal::Kernel { id: 9, version: 1 })
    );
    let stack = Host {
        stack_bytes: 2000,
        ..host()
    };
    assert_eq!(
        module.check_host(&stack),
        Err(Refusal::Stack {
            needed: 2048,
            missing: 48
        })
    );
    image[8] = 7;
    image[36] = 4;
    let module = Module::parse(&image).unwrap();
    assert_eq!(
        module.check_host(&host()),
        Err(Refusal::Abi {
            module: 7,
            host: ABI_VERSION
        })
    );
    let other = Host { abi: 7, ..host() };
    assert_eq!(
        module.check_host(&other),
        Err(Refusal::InstructionSets { missing: 4 })
    );
}

#[test]
fn an_arena_that_is_too_small_does_not_run() {
    let image = image();
    let module = Module::parse(&image).unwrap();
    let mut arena = vec![0; module.arena_bytes() - 1];
    assert!(module.run(&mut arena).is_err());
    assert!(matches!(
        module.self_test(&mut arena),
        Err(SelfTestError::Run(_))
    ));
    assert!(matches!(
        module.self_test(&mut []),
        Err(SelfTestError::Run(_))
    ));
}

#[test]
fn the_self_test_finds_a_flipped_weight() {
    let mut image = image();
    let (_, consts) = section(&image, 0x8003);
    // The first constant is the weights of the convolution, the second record.
    image[consts] ^= 0x40;
    let module = Module::parse(&image).unwrap();
    let mut arena = vec![0; module.arena_bytes()];
    assert_eq!(
        module.self_test(&mut arena),
        Err(SelfTestError::Mismatch {
            golden: 0,
            layer: Some(1)
        })
    );
}

#[test]
fn a_module_without_golden_inputs_is_not_tested() {
    let (builder, bytes) = builder();
    let image = builder.finish().unwrap();
    let module = Module::parse(&image).unwrap();
    assert_eq!(
        module.self_test(&mut vec![0; bytes as usize]),
        Err(SelfTestError::NoGolden)
    );
}

#[test]
fn the_class_is_taken_before_a_final_softmax() {
    // Scores so low that the softmax gives all classes the same byte.
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: 300,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    let scores = View::dense(0, 0, 1, 1, 300);
    let table = [1 << 22; 256];
    builder.op(Softmax {
        input: scores,
        output: scores,
        table,
    });
    builder.input(tensor(0, 300, None));
    let mut output = tensor(0, 300, Some(Task::Classify));
    output.descriptor.scales = vec![1.0 / 256.0];
    output.descriptor.zero_points = vec![-128];
    builder.output(output);
    let image = builder.finish().unwrap();
    let module = Module::parse(&image).unwrap();
    let mut arena = vec![1; 300];
    arena[200] = 2;
    arena[250] = 2;
    let class = Class {
        index: 200,
        score: 1.0 / 256.0,
    };
    assert_eq!(module.run(&mut arena), Ok(Some(class)));
    assert!(arena.iter().all(|&byte| byte == arena[0]));
}

fn load_error(op: impl Into<Op>, arena: u32) -> BuildError {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: arena,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    builder.input(tensor(0, 1, None));
    builder.output(tensor(0, 1, Some(Task::Regress)));
    builder.op(op);
    builder.finish().unwrap_err()
}

#[test]
fn what_an_operator_forbids_is_refused() {
    let refused = |problem| BuildError::Load(ModuleError::Record { layer: 0, problem });
    let view = |offset| View::dense(0, offset, 2, 2, 2);
    let lookup = |input, output| Lookup {
        input,
        output,
        table: [0; 256],
    };
    assert_eq!(
        load_error(lookup(view(0), view(4)), 16),
        refused(Problem::Overlap)
    );
    assert_eq!(
        load_error(lookup(view(0), view(8)), 15),
        refused(Problem::OutsideSegment)
    );
    let elsewhere = View {
        segment: 1,
        ..view(8)
    };
    assert_eq!(
        load_error(lookup(view(0), elsewhere), 16),
        refused(Problem::NoSegment)
    );
    let narrow = View {
        row_stride: 3,
        ..view(8)
    };
    assert_eq!(
        load_error(lookup(view(0), narrow), 16),
        refused(Problem::RowStride)
    );
    let ring = View { ring: 1, ..view(8) };
    assert_eq!(
        load_error(lookup(view(0), ring), 16),
        refused(Problem::Ring)
    );
    let flat = View::dense(0, 8, 1, 1, 8);
    assert_eq!(
        load_error(lookup(view(0), flat), 16),
        refused(Problem::Shape)
    );
    let empty = View::dense(0, 8, 0, 1, 8);
    assert_eq!(
        load_error(lookup(view(0), empty), 16),
        refused(Problem::Zero)
    );
    let pool = MaxPool {
        input: view(0),
        output: view(0),
        window: Window::new(1, 1),
        low: -128,
        high: 127,
    };
    assert_eq!(load_error(pool.clone(), 16), refused(Problem::Overlap));
    let still = Window {
        stride_y: 0,
        ..Window::new(1, 1)
    };
    let stuck = MaxPool {
        output: view(8),
        window: still,
        ..pool.clone()
    };
    assert_eq!(load_error(stuck, 16), refused(Problem::Zero));
    let none = MaxPool {
        output: view(8),
        low: 1,
        high: 0,
        ..pool
    };
    assert_eq!(load_error(none, 16), refused(Problem::Clamp));
    let requantize = Requantize {
        input: view(0),
        output: view(8),
        input_zero_point: 0,
        multiplier: Multiplier { q: 1 << 30, t: 63 },
        clamp: Clamp::full(0),
    };
    assert_eq!(
        load_error(requantize.clone(), 16),
        refused(Problem::Multiplier)
    );
    let small = Multiplier { q: 5, t: 10 };
    let requantize = Requantize {
        multiplier: small,
        ..requantize
    };
    assert_eq!(load_error(requantize, 16), refused(Problem::Multiplier));
    let softmax = Softmax {
        input: view(0),
        output: view(8),
        table: [0; 256],
    };
    assert_eq!(load_error(softmax, 16), refused(Problem::Table));
}

#[test]
fn segments_follow_each_other_aligned() {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: 5,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    let second = builder.segment(Segment {
        size: 8,
        align: 16,
        kind: SegmentKind::Fast,
    });
    builder.input(tensor(0, 4, None));
    let mut output = tensor(0, 4, Some(Task::Regress));
    output.segment = second;
    builder.output(output);
    builder.op(Requantize {
        input: View::dense(0, 0, 1, 1, 4),
        output: View::dense(second, 0, 1, 1, 4),
        input_zero_point: 0,
        multiplier: Multiplier::new(2.0).unwrap(),
        clamp: Clamp::full(0),
    });
    let image = builder.finish().unwrap();
    let module = Module::parse(&image).unwrap();
    assert_eq!(module.arena_bytes(), 24);
    assert_eq!(module.output_range(0), Some(16..20));
    let mut arena = [1; 24];
    module.run(&mut arena).unwrap();
    assert_eq!(arena[16..20], [2; 4]);
}

#[test]
fn segments_too_large_for_any_device_are_refused() {
    let mut builder = ModuleBuilder::new();
    for _ in 0..2 {
        builder.segment(Segment {
            size: 1 << 30,
            align: 4,
            kind: SegmentKind::Scratch,
        });
    }
    assert_eq!(
        builder.finish().unwrap_err(),
        BuildError::Load(ModuleError::Segment(1))
    );
}
