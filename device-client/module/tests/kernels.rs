//! Every kernel gives what the specification gives, for random layers, whole and in row tiles.
#![allow(clippy::unwrap_used)]

mod common;
mod segments;

use common::{Arena, Rng, compare, module};
use proptest::prelude::*;
use tinsmith_module::Module;
use tinsmith_module::build::*;
use tinsmith_module::kernels;
use tinsmith_module::numerics::{Multiplier, SumFactors};
use tinsmith_module::plan::layer::LayerRecord;
use tinsmith_module::plan::{Record, Span};

const CASES: u32 = if cfg!(debug_assertions) { 400 } else { 4000 };

/// Random layers of each kind; `TINSMITH_LAYERS` says how many.
fn cases() -> u32 {
    std::env::var("TINSMITH_LAYERS").map_or(CASES, |number| number.parse().expect("a number"))
}

fn conv(rng: &mut Rng, arena: &mut Arena) -> Conv2d {
    // One in eight patches is too large to be gathered.
    let (size, channels) = match rng.next() % 8 {
        0 => (5, rng.size(60, 130)),
        1 => (9, rng.size(20, 40)),
        _ => (9, rng.size(1, 19)),
    };
    let height = if rng.chance(25) { 1 } else { rng.size(1, size) };
    let input = {
        let width = rng.size(1, size);
        arena.view(rng, height, width, channels)
    };
    let taps = if rng.chance(25) { 1 } else { 5 };
    let (window, out_height, out_width) = rng.window(height, input.width, taps);
    let out_channels = rng.size(1, 11);
    let output = arena.view(rng, out_height, out_width, out_channels);
    let patch = window.taps() * channels as usize;
    let magnitude = patch as f64 * 3000.0;
    Conv2d {
        window,
        layer: Layer {
            input,
            output,
            input_zero_point: rng.i8(),
            clamp: rng.clamp(),
            weights: rng.i8s(patch * out_channels as usize),
            bias: rng.biases(out_channels, magnitude),
            multipliers: rng.multipliers(out_channels, magnitude),
        },
    }
}

fn depthwise(rng: &mut Rng, arena: &mut Arena) -> DepthwiseConv {
    let height = if rng.chance(25) { 1 } else { rng.size(1, 9) };
    let channels = rng.size(1, 40);
    let input = {
        let width = rng.size(1, 9);
        arena.view(rng, height, width, channels)
    };
    let (window, out_height, out_width) = rng.window(height, input.width, 5);
    let out_channels = channels * if rng.chance(70) { 1 } else { rng.size(2, 4) };
    let output = arena.view(rng, out_height, out_width, out_channels);
    let magnitude = window.taps() as f64 * 3000.0;
    DepthwiseConv {
        window,
        layer: Layer {
            input,
            output,
            input_zero_point: rng.i8(),
            clamp: rng.clamp(),
            weights: rng.i8s(window.taps() * out_channels as usize),
            bias: rng.biases(out_channels, magnitude),
            multipliers: rng.multipliers(out_channels, magnitude),
        },
    }
}

fn pool(rng: &mut Rng, arena: &mut Arena) -> (View, View, Window) {
    let (height, width) = (rng.size(1, 9), rng.size(1, 9));
    let channels = rng.size(1, 40);
    let input = arena.view(rng, height, width, channels);
    let (window, out_height, out_width) = if rng.chance(30) {
        (Window::new(height, width), 1, 1)
    } else {
        rng.window(height, width, 5)
    };
    (
        input,
        arena.view(rng, out_height, out_width, channels),
        window,
    )
}

fn operands(rng: &mut Rng, arena: &mut Arena) -> (View, Operand, View) {
    let (height, width, channels) = (rng.size(1, 6), rng.size(1, 6), rng.size(1, 40));
    let a = arena.view(rng, height, width, channels);
    let mut shape = [height, width, channels];
    if rng.chance(50) {
        for dimension in &mut shape {
            if rng.chance(50) {
                *dimension = 1;
            }
        }
    }
    let b = if rng.chance(40) {
        let n = shape.iter().product::<u32>() as usize;
        Operand::Const {
            values: rng.i8s(n),
            shape,
        }
    } else {
        Operand::Arena(arena.view(rng, shape[0], shape[1], shape[2]))
    };
    let output = match (&b, rng.next() % 3) {
        (_, 0) => a,
        (Operand::Arena(b), 1) if shape == [height, width, channels] => *b,
        _ => arena.view(rng, height, width, channels),
    };
    (a, b, output)
}

fn unary(rng: &mut Rng, arena: &mut Arena, channels: u32) -> (View, View) {
    let (height, width, channels) = (rng.size(1, 6), rng.size(1, 6), rng.size(1, channels));
    let input = arena.view(rng, height, width, channels);
    let output = if rng.chance(50) {
        input
    } else {
        arena.view(rng, height, width, channels)
    };
    (input, output)
}

/// In one memory, and with each tensor in a memory of its own.
fn check(rng: &mut Rng, arena: &Arena, op: impl Into<Op>) {
    let op = op.into();
    segments::check(rng, op.clone());
    compare(rng, &module(arena, [op]));
}

/// The slices of `memory` that begin at each span.
fn parts<'a>(memory: &'a mut [u8], input: &Span, output: &Span) -> (&'a [u8], &'a mut [u8]) {
    assert!(input.end() <= output.start);
    let (low, high) = memory.split_at_mut(output.start);
    (&low[input.start..], high)
}

/// Runs a window's kernel in tiles of rows, the input held in a ring that is no higher than the
/// window needs; `kernel(input span, output span, input, output, rows)`.
fn tiled(
    rng: &mut Rng,
    memory: &[u8],
    expected: &[u8],
    (input, output, window): (Span, Span, Window),
    mut kernel: impl FnMut(Span, Span, &[u8], &mut [u8], std::ops::Range<usize>),
) {
    let tile = rng.size(1, 3) as usize;
    let stride = window.stride_y as usize;
    let reach = (window.kernel_height as usize - 1) * window.dilation_y as usize;
    let ring = (reach + 1 + (tile - 1) * stride).min(input.height);
    let held = Span {
        start: 0,
        ring,
        ..input
    };
    let mut rows = vec![0x55u8; ring * input.row_stride];
    let written = Span { start: 0, ..output };
    let mut result = vec![0u8; output.extent()];
    let mut next = 0;
    let mut y = 0;
    while y < output.height {
        let end = (y + tile).min(output.height);
        let last = (end - 1) * stride + reach + 1;
        let needed = last
            .saturating_sub(window.pad_top as usize)
            .min(input.height);
        while next < needed {
            let from = input.row(next);
            held.row_of_mut(&mut rows, next)
                .copy_from_slice(&memory[from..from + input.row_bytes()]);
            next += 1;
        }
        kernel(held, written, &rows, &mut result, y..end);
        for y in y..end {
            let from = output.row(y);
            assert_eq!(
                written.row_of(&result, y),
                &expected[from..from + output.row_bytes()],
                "row {y}, tile {tile}, ring {ring}"
            );
        }
        y = end;
    }
}

/// Whole, then in tiles.
fn check_window(rng: &mut Rng, image: &[u8]) {
    let memory = compare(rng, image);
    let module = Module::parse(image).unwrap();
    let mut expected = memory.clone();
    module.run(&mut expected).unwrap();
    let (_, record) = module.records().next().unwrap();
    match record {
        Record::Conv2d(op) => {
            let place = (op.layer.input, op.layer.output, op.window);
            tiled(
                rng,
                &memory,
                &expected,
                place,
                |input, output, from, to, rows| {
                    let op = tinsmith_module::plan::conv2d::Conv2dRecord {
                        layer: LayerRecord {
                            input,
                            output,
                            ..op.layer
                        },
                        ..op
                    };
                    kernels::conv2d(&op, from, to, rows);
                },
            );
        }
        Record::DepthwiseConv(op) => {
            let place = (op.layer.input, op.layer.output, op.window);
            tiled(
                rng,
                &memory,
                &expected,
                place,
                |input, output, from, to, rows| {
                    let op = tinsmith_module::plan::depthwise_conv::DepthwiseConvRecord {
                        layer: LayerRecord {
                            input,
                            output,
                            ..op.layer
                        },
                        ..op
                    };
                    kernels::depthwise_conv(&op, from, to, rows);
                },
            );
        }
        Record::MaxPool(op) => {
            let place = (op.input, op.output, op.window);
            tiled(
                rng,
                &memory,
                &expected,
                place,
                |input, output, from, to, rows| {
                    let op = tinsmith_module::plan::max_pool::MaxPoolRecord {
                        input,
                        output,
                        ..op
                    };
                    kernels::max_pool(&op, from, to, rows);
                },
            );
        }
        Record::AveragePool(op) => {
            let place = (op.input, op.output, op.window);
            tiled(
                rng,
                &memory,
                &expected,
                place,
                |input, output, from, to, rows| {
                    let op = tinsmith_module::plan::average_pool::AveragePoolRecord {
                        input,
                        output,
                        ..op
                    };
                    kernels::average_pool(&op, from, to, rows);
                },
            );
        }
        other => panic!("{} has no window", other.name()),
    }
    let mut whole = memory.clone();
    let (from, to) = match record {
        Record::Conv2d(op) => (op.layer.input, op.layer.output),
        _ => return,
    };
    let (input, output) = parts(&mut whole, &from, &to);
    if let Record::Conv2d(op) = record {
        kernels::conv2d(&op, input, output, 0..op.layer.output.height);
    }
    assert_eq!(whole, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conv2d(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let op = conv(&mut rng, &mut arena);
        segments::check(&mut rng, op.clone().into());
        check_window(&mut rng, &module(&arena, [op.into()]));
    }

    #[test]
    fn depthwise_conv(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let op = depthwise(&mut rng, &mut arena);
        segments::check(&mut rng, op.clone().into());
        check_window(&mut rng, &module(&arena, [op.into()]));
    }

    #[test]
    fn fully_connected(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let input = arena.dense(rng.size(1, 3), rng.size(1, 5), rng.size(1, 90));
        let channels = rng.size(1, 19);
        let output = arena.dense(1, 1, channels);
        let n = input.bytes();
        let magnitude = n as f64 * 3000.0;
        let layer = Layer {
            input,
            output,
            input_zero_point: rng.i8(),
            clamp: rng.clamp(),
            weights: rng.i8s(n * channels as usize),
            bias: rng.biases(channels, magnitude),
            multipliers: rng.multipliers(channels, magnitude),
        };
        check(&mut rng, &arena, FullyConnected { layer });
    }

    #[test]
    fn add(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (a, b, output) = operands(&mut rng, &mut arena);
        let mut scale = || (rng.next() % 4000 + 1) as f32 / 1000.0;
        let (sa, sb, so) = (scale(), scale(), scale());
        let factors = if rng.chance(50) {
            SumFactors::add(sa, sb, so).unwrap()
        } else {
            SumFactors::sub(sa, sb, so).unwrap()
        };
        let op = Add {
            a,
            b,
            output,
            a_zero_point: rng.i8(),
            b_zero_point: rng.i8(),
            factors,
            clamp: rng.clamp(),
        };
        check(&mut rng, &arena, op);
    }

    #[test]
    fn mul(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (a, b, output) = operands(&mut rng, &mut arena);
        let op = Mul {
            a,
            b,
            output,
            a_zero_point: rng.i8(),
            b_zero_point: rng.i8(),
            multiplier: rng.multiplier(30_000.0),
            clamp: rng.clamp(),
        };
        check(&mut rng, &arena, op);
    }

    #[test]
    fn max_pool(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (input, output, window) = pool(&mut rng, &mut arena);
        let Clamp { low, high, .. } = rng.clamp();
        let op = MaxPool { input, output, window, low, high };
        segments::check(&mut rng, op.clone().into());
        check_window(&mut rng, &module(&arena, [op.into()]));
    }

    #[test]
    fn average_pool(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (input, output, window) = pool(&mut rng, &mut arena);
        let op = AveragePool {
            input,
            output,
            window,
            input_zero_point: rng.i8(),
            clamp: rng.clamp(),
            count_include_pad: rng.chance(30),
            input_scale: 0.5,
            output_scale: if rng.chance(50) { 0.5 } else { 0.037 },
        };
        segments::check(&mut rng, op.clone().into());
        check_window(&mut rng, &module(&arena, [op.into()]));
    }

    #[test]
    fn softmax(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (input, output) = unary(&mut rng, &mut arena, 1000);
        let scale = (rng.next() % 3000 + 1) as f64 / 10_000.0;
        let bits = 22.min(31 - f64::from(input.channels).log2().ceil() as i32);
        let table = core::array::from_fn(|d| {
            ((-scale * d as f64).exp() * 2f64.powi(bits)).round_ties_even() as u32
        });
        check(&mut rng, &arena, Softmax { input, output, table });
    }

    #[test]
    fn lookup(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (input, output) = unary(&mut rng, &mut arena, 90);
        let table = core::array::from_fn(|_| rng.next() as i8);
        check(&mut rng, &arena, Lookup { input, output, table });
    }

    #[test]
    fn requantize(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (input, output) = unary(&mut rng, &mut arena, 90);
        let op = Requantize {
            input,
            output,
            input_zero_point: rng.i8(),
            multiplier: rng.multiplier(200.0),
            clamp: rng.clamp(),
        };
        check(&mut rng, &arena, op);
    }

    #[test]
    fn pad(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let (height, width, channels) = (rng.size(1, 6), rng.size(1, 6), rng.size(1, 9));
        let input = arena.view(&mut rng, height, width, channels);
        let (top, left, front) = (rng.size(0, 3), rng.size(0, 3), rng.size(0, 3));
        let output = {
            let bottom = rng.size(0, 3);
            let right = rng.size(0, 3);
            let back = rng.size(0, 3);
            arena.view(
                &mut rng,
                top + height + bottom,
                left + width + right,
                front + channels + back,
            )
        };
        let op = Pad { input, output, top, left, front, value: rng.i8() };
        check(&mut rng, &arena, op);
    }

    #[test]
    fn concat(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let axis = [Axis::Height, Axis::Width, Axis::Channels][rng.next() as usize % 3];
        let common = [rng.size(1, 6), rng.size(1, 6), rng.size(1, 9)];
        let mut total = common;
        total[axis as usize] = 0;
        let inputs = (0..rng.size(1, 4))
            .map(|_| {
                let mut shape = common;
                shape[axis as usize] = rng.size(1, 5);
                total[axis as usize] += shape[axis as usize];
                let view = arena.view(&mut rng, shape[0], shape[1], shape[2]);
                let requantize =
                    if rng.chance(50) { Some((rng.i8(), rng.multiplier(200.0))) } else { None };
                ConcatInput { view, requantize }
            })
            .collect();
        let output = arena.view(&mut rng, total[0], total[1], total[2]);
        let op = Concat { inputs, output, axis, clamp: rng.clamp() };
        check(&mut rng, &arena, op);
    }

    #[test]
    fn transpose(seed: u64) {
        let mut rng = Rng(seed);
        let mut arena = Arena::default();
        let dims = [rng.size(1, 4), rng.size(1, 4), rng.size(1, 4), rng.size(1, 4)];
        let input = arena.dense(1, dims[0] * dims[1], dims[2] * dims[3]);
        let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
        let mut order = [0usize, 1, 2, 3];
        for i in (1..4).rev() {
            order.swap(i, rng.next() as usize % (i + 1));
        }
        // Leave out the first elements of one axis: a slice.
        let mut shape = order.map(|axis| dims[axis]);
        let axis = rng.next() as usize % 4;
        let skip = rng.size(0, shape[axis] - 1);
        shape[axis] -= skip;
        let output = arena.dense(1, 1, shape.iter().product());
        let op = Copy {
            input,
            output,
            shape,
            input_start: skip * strides[order[axis]],
            input_strides: order.map(|axis| strides[axis]),
        };
        check(&mut rng, &arena, op);
    }
}

#[test]
fn the_folded_bias_is_the_same_integer() {
    // One output of one channel: acc = 7 + (x - 5) * 3, and x is 9.
    let mut arena = Arena::default();
    let input = arena.dense(1, 1, 1);
    let output = arena.dense(1, 1, 1);
    let op = FullyConnected {
        layer: Layer {
            input,
            output,
            input_zero_point: 5,
            clamp: Clamp::full(-1),
            weights: vec![3],
            bias: vec![7],
            multipliers: vec![Multiplier::new(1.0).unwrap()],
        },
    };
    let image = module(&arena, [op.into()]);
    let mut memory = [9, 0];
    Module::parse(&image).unwrap().run(&mut memory).unwrap();
    assert_eq!(memory, [9, 18]);
}
