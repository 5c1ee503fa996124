//! The specification against onnxruntime (N14): `tests/fixtures/ort`. Every case goes through the
//! builder, the loader, the kernels and the specification.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::path::Path;

use common::{Arena, module};
use tinsmith_module::Module;
use tinsmith_module::build::*;
use tinsmith_module::numerics::{self, Multiplier, SumFactors};
use tinsmith_module::spec;

struct Value {
    dims: Vec<u32>,
    words: Vec<u32>,
}

impl Value {
    fn i8s(&self) -> Vec<i8> {
        self.words.iter().map(|&w| w as u8 as i8).collect()
    }

    fn i32s(&self) -> Vec<i32> {
        self.words.iter().map(|&w| w as i32).collect()
    }

    fn f32s(&self) -> Vec<f32> {
        self.words.iter().map(|&w| f32::from_bits(w)).collect()
    }
}

struct Case {
    name: String,
    values: HashMap<String, Value>,
}

impl Case {
    fn get(&self, key: &str) -> &Value {
        self.values
            .get(key)
            .unwrap_or_else(|| panic!("{}: no {key}", self.name))
    }

    fn i8s(&self, key: &str) -> Vec<i8> {
        self.get(key).i8s()
    }

    fn i8(&self, key: &str) -> i8 {
        self.i8s(key)[0]
    }

    fn f32(&self, key: &str) -> f32 {
        self.get(key).f32s()[0]
    }

    fn u32s<const N: usize>(&self, key: &str) -> [u32; N] {
        self.get(key).words.clone().try_into().unwrap()
    }

    fn dims<const N: usize>(&self, key: &str) -> [u32; N] {
        self.get(key).dims.clone().try_into().unwrap()
    }
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/ort")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut cases = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            ["case", name] => {
                cases.push(Case {
                    name: name.into(),
                    values: HashMap::new(),
                });
            }
            ["end"] | [] => {}
            [key, kind, dims, data] => {
                let digits = if kind == "i8" { 2 } else { 8 };
                let words = data
                    .as_bytes()
                    .chunks(digits)
                    .map(|c| u32::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
                    .collect();
                let dims = dims.split('x').map(|d| d.parse().unwrap()).collect();
                cases
                    .last_mut()
                    .unwrap()
                    .values
                    .insert(key.into(), Value { dims, words });
            }
            _ => panic!("{}: {line}", path.display()),
        }
    }
    assert!(!cases.is_empty(), "{}", path.display());
    cases
}

/// How many elements are equal, differ by one beside a tie, and differ by one on a tie.
#[derive(Default)]
struct Tally {
    exact: usize,
    near: usize,
    tie: usize,
}

impl Tally {
    /// N14: equal, or one apart where the exact value is within `bound` of a tie.
    fn count(&mut self, name: &str, ours: i8, theirs: i8, exact: f64, bound: f64) {
        if ours == theirs {
            self.exact += 1;
            return;
        }
        let distance = (exact - exact.floor() - 0.5).abs();
        assert!(
            (i32::from(ours) - i32::from(theirs)).abs() == 1 && distance <= bound,
            "{name}: {ours} instead of {theirs}, exactly {exact}"
        );
        // The scales are f32, so that a tie of theirs is one of ours to about 2^-45.
        if distance <= exact.abs() * 2f64.powi(-45) {
            self.tie += 1;
        } else {
            self.near += 1;
        }
    }

    /// As [`Tally::count`] with the bound of a requantization.
    fn requantized(&mut self, name: &str, ours: i8, theirs: i8, exact: f64) {
        self.count(name, ours, theirs, exact, exact.abs() * 2f64.powi(-22));
    }

    fn print(&self, file: &str) {
        println!(
            "{file}: {} equal, {} one apart beside a tie, {} one apart on a tie",
            self.exact, self.near, self.tie
        );
        assert!(self.exact > 10 * (self.near + self.tie));
    }
}

/// Runs one operator with kernels and specification on the bytes of its inputs, which lie in the
/// arena in order; returns the output, which comes last.
fn run(arena: &Arena, op: Op, inputs: &[&[i8]], output: View) -> Vec<i8> {
    let image = module(arena, [op]);
    let module = Module::parse(&image).unwrap();
    let mut memory: Vec<u8> = inputs
        .iter()
        .flat_map(|i| i.iter().map(|&x| x as u8))
        .collect();
    memory.resize(module.arena_bytes(), 0);
    let expected = spec::run(&module, &[&memory]).unwrap();
    module.run(&mut memory).unwrap();
    assert_eq!(memory, expected.outputs[0]);
    let start = output.offset as usize;
    memory[start..start + output.bytes()]
        .iter()
        .map(|&b| b as i8)
        .collect()
}

fn full(case: &Case) -> Clamp {
    Clamp::full(case.i8("y_zero"))
}

#[test]
fn conv() {
    let mut tally = Tally::default();
    for case in cases("conv.txt") {
        let [height, width, channels] = case.dims("x");
        let [out_height, out_width, out_channels] = case.dims("y");
        let [_, kernel_height, kernel_width, depth] = case.dims("w");
        let [stride_y, stride_x] = case.u32s("strides");
        let [dilation_y, dilation_x] = case.u32s("dilations");
        let [pad_top, pad_left, ..] = case.u32s::<4>("pads");
        let [group] = case.u32s("group");
        let window = Window {
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            dilation_y,
            dilation_x,
            pad_top,
            pad_left,
        };
        let mut arena = Arena::default();
        let input = arena.dense(height, width, channels);
        let output = arena.dense(out_height, out_width, out_channels);
        let (x, w) = (case.i8s("x"), case.i8s("w"));
        let bias = case.get("b").i32s();
        let scales = case.get("w_scale").f32s();
        let (x_scale, y_scale) = (case.f32("x_scale"), case.f32("y_scale"));
        let multipliers: Vec<Multiplier> = scales
            .iter()
            .map(|&s| Multiplier::conv(x_scale, s, y_scale).unwrap())
            .collect();
        let input_zero_point = case.i8("x_zero");
        let clamp = full(&case);
        let taps = window.taps();
        let per_group = (out_channels / group) as usize;
        let op: Op = if group > 1 && depth == 1 {
            let weights = (0..taps)
                .flat_map(|tap| (0..out_channels as usize).map(move |o| (o, tap)))
                .map(|(o, tap)| w[o * taps + tap])
                .collect();
            DepthwiseConv {
                window,
                layer: Layer {
                    input,
                    output,
                    input_zero_point,
                    clamp,
                    weights,
                    bias: bias.clone(),
                    multipliers,
                },
            }
            .into()
        } else {
            // Groups of several channels: the weights between groups are zero.
            let mut weights = vec![0; out_channels as usize * taps * channels as usize];
            for (i, w) in w.chunks(depth as usize).enumerate() {
                let first = i / taps / per_group * depth as usize;
                weights[i * channels as usize + first..][..w.len()].copy_from_slice(w);
            }
            Conv2d {
                window,
                layer: Layer {
                    input,
                    output,
                    input_zero_point,
                    clamp,
                    weights,
                    bias: bias.clone(),
                    multipliers,
                },
            }
            .into()
        };
        let ours = run(&arena, op, &[&x], output);
        for (i, (&ours, theirs)) in ours.iter().zip(case.i8s("y")).enumerate() {
            let o = i % out_channels as usize;
            let (ox, oy) = (
                i / out_channels as usize % out_width as usize,
                i / (out_channels * out_width) as usize,
            );
            let mut acc = i64::from(bias[o]);
            for ky in 0..kernel_height {
                for kx in 0..kernel_width {
                    let y = (oy as u32 * stride_y + ky * dilation_y).wrapping_sub(pad_top);
                    let x_at = (ox as u32 * stride_x + kx * dilation_x).wrapping_sub(pad_left);
                    if y >= height || x_at >= width {
                        continue;
                    }
                    for c in 0..depth {
                        let channel = (o / per_group) as u32 * depth + c;
                        let at = ((y * width + x_at) * channels + channel) as usize;
                        let tap = ((o as u32 * kernel_height + ky) * kernel_width + kx) * depth + c;
                        acc += (i64::from(x[at]) - i64::from(input_zero_point))
                            * i64::from(w[tap as usize]);
                    }
                }
            }
            let factor = f64::from(x_scale) * f64::from(scales[o]) / f64::from(y_scale);
            tally.requantized(&case.name, ours, theirs, acc as f64 * factor);
        }
    }
    tally.print("conv");
}

#[test]
fn gemm() {
    let mut tally = Tally::default();
    for case in cases("gemm.txt") {
        let [m, k] = case.dims("x");
        let [n, _] = case.dims::<2>("w");
        let (x, w, bias) = (case.i8s("x"), case.i8s("w"), case.get("b").i32s());
        let scales = case.get("w_scale").f32s();
        let (x_scale, y_scale) = (case.f32("x_scale"), case.f32("y_scale"));
        let multipliers: Vec<Multiplier> = scales
            .iter()
            .map(|&s| Multiplier::conv(x_scale, s, y_scale).unwrap())
            .collect();
        let theirs = case.i8s("y");
        for row in 0..m as usize {
            let mut arena = Arena::default();
            let input = arena.dense(1, 1, k);
            let output = arena.dense(1, 1, n);
            let x = &x[row * k as usize..][..k as usize];
            let op = FullyConnected {
                layer: Layer {
                    input,
                    output,
                    input_zero_point: case.i8("x_zero"),
                    clamp: full(&case),
                    weights: w.clone(),
                    bias: bias.clone(),
                    multipliers: multipliers.clone(),
                },
            };
            let ours = run(&arena, op.into(), &[x], output);
            for (o, &ours) in ours.iter().enumerate() {
                let zero = i64::from(case.i8("x_zero"));
                let acc = x
                    .iter()
                    .zip(&w[o * k as usize..])
                    .fold(i64::from(bias[o]), |acc, (&x, &w)| {
                        acc + (i64::from(x) - zero) * i64::from(w)
                    });
                let factor = f64::from(x_scale) * f64::from(scales[o]) / f64::from(y_scale);
                let theirs = theirs[row * n as usize + o];
                tally.requantized(&case.name, ours, theirs, acc as f64 * factor);
            }
        }
    }
    tally.print("gemm");
}

/// The two operands and the output of `add.txt` and `mul.txt`.
fn two_operands(case: &Case) -> (Arena, View, View, View) {
    let [n] = case.dims("a");
    let mut arena = Arena::default();
    let (a, b, y) = (
        arena.dense(1, n, 1),
        arena.dense(1, n, 1),
        arena.dense(1, n, 1),
    );
    (arena, a, b, y)
}

#[test]
fn add() {
    let mut tally = Tally::default();
    for case in cases("add.txt") {
        let (arena, a, b, output) = two_operands(&case);
        let (sa, sb, so) = (
            case.f32("a_scale"),
            case.f32("b_scale"),
            case.f32("y_scale"),
        );
        let (za, zb) = (case.i8("a_zero"), case.i8("b_zero"));
        let factors = SumFactors::add(sa, sb, so).unwrap();
        let op = Add {
            a,
            b: Operand::Arena(b),
            output,
            a_zero_point: za,
            b_zero_point: zb,
            factors,
            clamp: full(&case),
        };
        let (xa, xb) = (case.i8s("a"), case.i8s("b"));
        let ours = run(&arena, op.into(), &[&xa, &xb], output);
        for (i, (&ours, theirs)) in ours.iter().zip(case.i8s("y")).enumerate() {
            let difference = |x: i8, z: i8| f64::from(i32::from(x) - i32::from(z));
            let exact = (difference(xa[i], za) * f64::from(sa)
                + difference(xb[i], zb) * f64::from(sb))
                / f64::from(so);
            let bound = 256.0 / 2f64.powi(i32::from(factors.shift));
            tally.count(&case.name, ours, theirs, exact, bound);
        }
    }
    tally.print("add");
}

#[test]
fn mul() {
    let mut tally = Tally::default();
    for case in cases("mul.txt") {
        let (arena, a, b, output) = two_operands(&case);
        let (sa, sb, so) = (
            case.f32("a_scale"),
            case.f32("b_scale"),
            case.f32("y_scale"),
        );
        let (za, zb) = (case.i8("a_zero"), case.i8("b_zero"));
        let op = Mul {
            a,
            b: Operand::Arena(b),
            output,
            a_zero_point: za,
            b_zero_point: zb,
            multiplier: Multiplier::product(sa, sb, so).unwrap(),
            clamp: full(&case),
        };
        let (xa, xb) = (case.i8s("a"), case.i8s("b"));
        let ours = run(&arena, op.into(), &[&xa, &xb], output);
        for (i, (&ours, theirs)) in ours.iter().zip(case.i8s("y")).enumerate() {
            let product = (i32::from(xa[i]) - i32::from(za)) * (i32::from(xb[i]) - i32::from(zb));
            let factor = f64::from(sa) * f64::from(sb) / f64::from(so);
            tally.requantized(&case.name, ours, theirs, f64::from(product) * factor);
        }
    }
    tally.print("mul");
}

/// The exact means of the windows of a pool, in stored order.
fn means(case: &Case, window: &Window, include_pad: bool) -> Vec<f64> {
    let [height, width, channels] = case.dims("x");
    let [out_height, out_width, _] = case.dims("y");
    let x = case.i8s("x");
    let zero = i64::from(case.i8("x_zero"));
    let factor = f64::from(case.f32("x_scale")) / f64::from(case.f32("y_scale"));
    let mut exact = Vec::new();
    for oy in 0..out_height {
        for ox in 0..out_width {
            for c in 0..channels {
                let (mut acc, mut count) = (0, 0);
                for ky in 0..window.kernel_height {
                    for kx in 0..window.kernel_width {
                        let y = (oy * window.stride_y + ky).wrapping_sub(window.pad_top);
                        let x_at = (ox * window.stride_x + kx).wrapping_sub(window.pad_left);
                        if y < height && x_at < width {
                            acc +=
                                i64::from(x[((y * width + x_at) * channels + c) as usize]) - zero;
                            count += 1;
                        }
                    }
                }
                let count = if include_pad { window.taps() } else { count };
                exact.push(acc as f64 * factor / count as f64);
            }
        }
    }
    exact
}

fn average(case: &Case, window: Window, count_include_pad: bool, tally: &mut Tally) {
    let [height, width, channels] = case.dims("x");
    let [out_height, out_width, _] = case.dims("y");
    let mut arena = Arena::default();
    let input = arena.dense(height, width, channels);
    let output = arena.dense(out_height, out_width, channels);
    let op = AveragePool {
        input,
        output,
        window,
        input_zero_point: case.i8("x_zero"),
        clamp: full(case),
        count_include_pad,
        input_scale: case.f32("x_scale"),
        output_scale: case.f32("y_scale"),
    };
    let ours = run(&arena, op.into(), &[&case.i8s("x")], output);
    let exact = means(case, &window, count_include_pad);
    for ((&ours, theirs), exact) in ours.iter().zip(case.i8s("y")).zip(exact) {
        tally.requantized(&case.name, ours, theirs, exact);
    }
}

fn pool_window(case: &Case) -> Window {
    let [kernel_height, kernel_width] = case.u32s("kernel");
    let [stride_y, stride_x] = case.u32s("strides");
    let [pad_top, pad_left, ..] = case.u32s::<4>("pads");
    Window {
        stride_y,
        stride_x,
        pad_top,
        pad_left,
        ..Window::new(kernel_height, kernel_width)
    }
}

#[test]
fn average_pool() {
    let mut tally = Tally::default();
    for case in cases("average_pool.txt") {
        let [include_pad] = case.u32s("count_include_pad");
        average(&case, pool_window(&case), include_pad == 1, &mut tally);
    }
    tally.print("average_pool");
}

#[test]
fn global_average_pool() {
    let mut tally = Tally::default();
    for case in cases("global_average_pool.txt") {
        let [height, width, _] = case.dims("x");
        average(&case, Window::new(height, width), false, &mut tally);
    }
    tally.print("global_average_pool");
}

#[test]
fn max_pool() {
    for case in cases("max_pool.txt") {
        let [height, width, channels] = case.dims("x");
        let [out_height, out_width, _] = case.dims("y");
        let mut arena = Arena::default();
        let input = arena.dense(height, width, channels);
        let output = arena.dense(out_height, out_width, channels);
        let window = pool_window(&case);
        let op = MaxPool {
            input,
            output,
            window,
            low: -128,
            high: 127,
        };
        assert_eq!(
            run(&arena, op.into(), &[&case.i8s("x")], output),
            case.i8s("y")
        );
    }
}

#[test]
fn softmax() {
    let mut tally = Tally::default();
    for case in cases("softmax.txt") {
        let [rows, n] = case.dims("x");
        let scale = f64::from(case.f32("x_scale"));
        let bits = 22.min(31 - f64::from(n).log2().ceil() as i32);
        let one = 2f64.powi(bits);
        let table =
            core::array::from_fn(|d| ((-scale * d as f64).exp() * one).round_ties_even() as u32);
        let mut arena = Arena::default();
        let input = arena.dense(1, rows, n);
        let output = arena.dense(1, rows, n);
        let x = case.i8s("x");
        let ours = run(
            &arena,
            Softmax {
                input,
                output,
                table,
            }
            .into(),
            &[&x],
            output,
        );
        let theirs = case.i8s("y");
        let n = n as usize;
        for (i, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
            let row = &x[i / n * n..][..n];
            let highest = row.iter().copied().max().map_or(0.0, f64::from);
            let e = |x: i8| (-scale * (highest - f64::from(x))).exp();
            let exact = 256.0 * e(x[i]) / row.iter().map(|&x| e(x)).sum::<f64>();
            tally.count(
                &case.name,
                ours,
                theirs,
                exact,
                128.0 * (n as f64 + 1.0) / one,
            );
        }
    }
    tally.print("softmax");
}

fn elementwise(file: &str, f: impl Fn(&Case, f64) -> f64) {
    let mut tally = Tally::default();
    for case in cases(file) {
        let [n] = case.dims("x");
        let mut arena = Arena::default();
        let input = arena.dense(1, 1, n);
        let output = arena.dense(1, 1, n);
        let (si, so) = (
            f64::from(case.f32("x_scale")),
            f64::from(case.f32("y_scale")),
        );
        let (zi, zo) = (f64::from(case.i8("x_zero")), f64::from(case.i8("y_zero")));
        let exact = |x: f64| f(&case, (x - zi) * si) / so;
        let table = core::array::from_fn(|i| {
            (exact(i as f64 - 128.0).round_ties_even() + zo).clamp(-128.0, 127.0) as i8
        });
        let x = case.i8s("x");
        let ours = run(
            &arena,
            Lookup {
                input,
                output,
                table,
            }
            .into(),
            &[&x],
            output,
        );
        for ((&ours, theirs), &x) in ours.iter().zip(case.i8s("y")).zip(&x) {
            tally.count(
                &case.name,
                ours,
                theirs,
                exact(f64::from(x)),
                2f64.powi(-14),
            );
        }
    }
    tally.print(file);
}

#[test]
fn sigmoid() {
    elementwise("sigmoid.txt", |_, x| 1.0 / (1.0 + (-x).exp()));
}

#[test]
fn leaky_relu() {
    elementwise("leaky_relu.txt", |case, x| {
        if x < 0.0 {
            x * f64::from(case.f32("alpha"))
        } else {
            x
        }
    });
}

#[test]
fn concat() {
    let mut tally = Tally::default();
    for case in cases("concat.txt") {
        let count = (0..)
            .take_while(|i| case.values.contains_key(&format!("x{i}")))
            .count();
        let [rows, total] = case.dims("y");
        let so = case.f32("y_scale");
        let mut arena = Arena::default();
        let mut data = Vec::new();
        let mut inputs = Vec::new();
        // For each channel of the output: its input, zero point and factor.
        let mut exact = vec![Vec::new(); rows as usize];
        for i in 0..count {
            let key = |part: &str| format!("x{i}{part}");
            let [_, channels] = case.dims::<2>(&key(""));
            let (scale, zero) = (case.f32(&key("_scale")), case.i8(&key("_zero")));
            let equal = scale == so && zero == case.i8("y_zero");
            let requantize = if equal {
                None
            } else {
                Some((zero, Multiplier::rescale(scale, so).unwrap()))
            };
            inputs.push(ConcatInput {
                view: arena.dense(rows, 1, channels),
                requantize,
            });
            let x = case.i8s(&key(""));
            for (row, x) in exact.iter_mut().zip(x.chunks(channels as usize)) {
                row.extend(x.iter().map(|&x| {
                    f64::from(i32::from(x) - i32::from(zero)) * (f64::from(scale) / f64::from(so))
                }));
            }
            data.push(x);
        }
        let output = arena.dense(rows, 1, total);
        let op = Concat {
            inputs,
            output,
            axis: Axis::Channels,
            clamp: full(&case),
        };
        let slices: Vec<&[i8]> = data.iter().map(Vec::as_slice).collect();
        let ours = run(&arena, op.into(), &slices, output);
        for ((&ours, theirs), &exact) in ours.iter().zip(case.i8s("y")).zip(exact.iter().flatten())
        {
            tally.requantized(&case.name, ours, theirs, exact);
        }
    }
    tally.print("concat");
}

#[test]
fn requantize() {
    let mut tally = Tally::default();
    for case in cases("requantize.txt") {
        let [n] = case.dims("x");
        let mut arena = Arena::default();
        let input = arena.dense(1, 1, n);
        let output = arena.dense(1, 1, n);
        let (si, so) = (case.f32("x_scale"), case.f32("y_scale"));
        let zero = case.i8("x_zero");
        let op = Requantize {
            input,
            output,
            input_zero_point: zero,
            multiplier: Multiplier::rescale(si, so).unwrap(),
            clamp: full(&case),
        };
        let x = case.i8s("x");
        let ours = run(&arena, op.into(), &[&x], output);
        for ((&ours, theirs), &x) in ours.iter().zip(case.i8s("y")).zip(&x) {
            let exact = f64::from(i32::from(x) - i32::from(zero)) * (f64::from(si) / f64::from(so));
            tally.requantized(&case.name, ours, theirs, exact);
        }
    }
    tally.print("requantize");
}

#[test]
fn quantize_and_dequantize_are_equal() {
    for case in cases("quantize.txt") {
        let (scale, zero) = (case.f32("y_scale"), i32::from(case.i8("y_zero")));
        for (x, theirs) in case.get("x").f32s().into_iter().zip(case.i8s("y")) {
            assert_eq!(
                numerics::quantize(x, scale, zero),
                theirs,
                "{}: {x}",
                case.name
            );
        }
    }
    for case in cases("dequantize.txt") {
        let (scale, zero) = (case.f32("x_scale"), i32::from(case.i8("x_zero")));
        for (x, theirs) in case.i8s("x").into_iter().zip(case.get("y").f32s()) {
            assert_eq!(
                numerics::dequantize(x, scale, zero).to_bits(),
                theirs.to_bits()
            );
        }
    }
}
