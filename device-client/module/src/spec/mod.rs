//! The arithmetic of `docs/numerics.md` as plain 64-bit loops over whole tensors, one file
//! per operator, and an interpreter of plans made of them with a memory of its own.
//!
//! Nothing here is fast, and nothing here is shared with the kernels but the reading of records.

mod add;
mod average_pool;
mod concat;
mod conv2d;
mod copy;
mod depthwise_conv;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod requantize;
mod softmax;
mod tensor;

pub use add::add;
pub use average_pool::average_pool;
pub use concat::concat;
pub use conv2d::{Layer, conv2d};
pub use copy::copy;
pub use depthwise_conv::depthwise_conv;
pub use fully_connected::fully_connected;
pub use lookup::lookup;
pub use max_pool::max_pool;
pub use mul::mul;
pub use pad::pad;
pub use requantize::requantize;
pub use softmax::softmax;
pub use tensor::Tensor;

use std::fmt;

use crate::format::SegmentKind;
use crate::loader::Module;
use crate::numerics::Multiplier;
use crate::plan::layer::LayerRecord;
use crate::plan::operand::OperandRecord;
use crate::plan::{Clamp, Record, Span, Window};
use crate::run::Class;

/// `(acc * q + 2^(t-1)) >> t` (N2).
pub fn rq(acc: i64, m: Multiplier) -> i64 {
    let rounded = i128::from(acc) * i128::from(m.q) + (1i128 << (m.t - 1));
    (rounded >> m.t) as i64
}

/// `clamp(zo + value, lo, hi)` (N2, N6).
pub fn saturate(value: i64, clamp: &Clamp) -> i8 {
    (i64::from(clamp.zero_point) + value).clamp(i64::from(clamp.low), i64::from(clamp.high)) as i8
}

/// The input coordinate of tap `k` of output `o`, or `None` in the padding.
fn tap(o: usize, k: usize, stride: u32, dilation: u32, pad: u32, length: usize) -> Option<usize> {
    let at = o as i64 * i64::from(stride) + k as i64 * i64::from(dilation) - i64::from(pad);
    (0..length as i64).contains(&at).then_some(at as usize)
}

fn tap_y(window: &Window, o: usize, k: usize, length: usize) -> Option<usize> {
    tap(
        o,
        k,
        window.stride_y,
        window.dilation_y,
        window.pad_top,
        length,
    )
}

fn tap_x(window: &Window, o: usize, k: usize, length: usize) -> Option<usize> {
    tap(
        o,
        k,
        window.stride_x,
        window.dilation_x,
        window.pad_left,
        length,
    )
}

/// What the specification computes for a module.
#[derive(Debug, Clone, PartialEq)]
pub struct SpecRun {
    /// Bytes of each output tensor.
    pub outputs: Vec<Vec<u8>>,
    /// Bytes of the result of each record, dense; empty for a record that may be skipped.
    pub layers: Vec<Vec<u8>>,
    /// The class, if an output is a classifier's.
    pub class: Option<Class>,
}

/// The inputs given are not the model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputMismatch {
    /// Bytes of each input tensor that the model has.
    pub expected: Vec<usize>,
    /// Bytes of each input given.
    pub given: Vec<usize>,
}

impl fmt::Display for InputMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the model takes inputs of {:?} bytes, not {:?}",
            self.expected, self.given
        )
    }
}

impl std::error::Error for InputMismatch {}

/// Interprets the plan of a module once.
pub fn run(module: &Module<'_>, inputs: &[&[u8]]) -> Result<SpecRun, InputMismatch> {
    Interpreter::new(module).run(inputs)
}

/// A module with a memory of its own, in which states live from one run to the next.
#[derive(Debug, Clone)]
pub struct Interpreter<'a> {
    module: &'a Module<'a>,
    memory: Memory,
}

impl<'a> Interpreter<'a> {
    /// A memory with states as they are at reset, zeros elsewhere.
    pub fn new(module: &'a Module<'a>) -> Self {
        let mut states = module.states_at_reset().iter();
        let memory = module.segments().map(|place| {
            let mut bytes = vec![0; place.size as usize];
            if place.kind == SegmentKind::State {
                for (byte, &state) in bytes.iter_mut().zip(&mut states) {
                    *byte = state;
                }
            }
            bytes
        });
        Interpreter {
            module,
            memory: memory.collect(),
        }
    }

    /// Interprets the plan.
    pub fn run(&mut self, inputs: &[&[u8]]) -> Result<SpecRun, InputMismatch> {
        interpret(self.module, inputs, &mut self.memory)
    }
}

fn interpret(
    module: &Module<'_>,
    inputs: &[&[u8]],
    memory: &mut Memory,
) -> Result<SpecRun, InputMismatch> {
    let expected: Vec<usize> = module
        .inputs()
        .map(|tensor| tensor.bytes as usize)
        .collect();
    let given: Vec<usize> = inputs.iter().map(|bytes| bytes.len()).collect();
    if expected != given {
        return Err(InputMismatch { expected, given });
    }
    for (tensor, bytes) in module.inputs().zip(inputs) {
        memory[usize::from(tensor.segment)][place(&tensor)].copy_from_slice(bytes);
    }
    let classifier = module.classifier();
    let mut layers = vec![Vec::new(); module.layer_count()];
    let mut scores = None;
    for (layer, record) in module.records() {
        if let Some(tensor) = &classifier {
            let range = place(tensor);
            let output = record.output();
            if output.segment == tensor.segment
                && output.start < range.end
                && range.start < output.end()
            {
                scores = match &record {
                    Record::Softmax(op) if output.bytes() == range.len() => {
                        let memory = &memory[usize::from(op.input.segment)];
                        Some(Tensor::load(memory, &op.input).bytes())
                    }
                    _ => None,
                };
            }
        }
        let result = step(&record, memory);
        let output = record.output();
        result.store(&mut memory[usize::from(output.segment)], &output);
        layers[layer] = result.bytes();
    }
    let class = classifier.map(|tensor| {
        let output = &memory[usize::from(tensor.segment)][place(&tensor)];
        let scores = scores.as_deref().unwrap_or(output);
        // ArgMax of N9: the lowest index.
        let highest = scores.iter().map(|&b| b as i8).max();
        let index = scores
            .iter()
            .position(|&b| Some(b as i8) == highest)
            .unwrap_or(0);
        let score = (i32::from(output[index] as i8) - tensor.zero_point) as f32 * tensor.scale;
        Class {
            index: index as u32,
            score,
        }
    });
    let outputs = module
        .outputs()
        .map(|tensor| memory[usize::from(tensor.segment)][place(&tensor)].to_vec())
        .collect();
    Ok(SpecRun {
        outputs,
        layers,
        class,
    })
}

/// A memory for each arena segment.
type Memory = Vec<Vec<u8>>;

fn place(tensor: &crate::format::Tensor) -> std::ops::Range<usize> {
    let start = tensor.offset as usize;
    start..start + tensor.bytes as usize
}

fn step(record: &Record<'_>, memory: &Memory) -> Tensor {
    let load = |span: &Span| Tensor::load(&memory[usize::from(span.segment)], span);
    let operand = |operand: &OperandRecord<'_>| match operand {
        OperandRecord::Arena(span) => load(span),
        OperandRecord::Const(bytes, span) => Tensor::load(bytes, span),
    };
    let empty = |span: &Span| Tensor::new(span.height, span.width, span.channels);
    match record {
        Record::Conv2d(op) => {
            let patch = op.window.taps() * op.layer.input.channels;
            let layer = layer(&op.layer, &by_channel(op.layer.weights, patch));
            let (input, output) = (load(&op.layer.input), empty(&op.layer.output));
            conv2d(&input, &op.window, &layer, output)
        }
        Record::DepthwiseConv(op) => {
            let weights = signed(op.layer.weights);
            let depth = op.layer.output.channels;
            let sum = |c| {
                let taps = weights.iter().skip(c).step_by(depth);
                taps.map(|&w| i64::from(w)).sum()
            };
            let sums: Vec<i64> = (0..depth).map(sum).collect();
            let layer = layer(&op.layer, &sums);
            let (input, output) = (load(&op.layer.input), empty(&op.layer.output));
            depthwise_conv(&input, &op.window, &layer, output)
        }
        Record::FullyConnected(op) => {
            let inputs = op.layer.input.bytes();
            let layer = layer(&op.layer, &by_channel(op.layer.weights, inputs));
            fully_connected(&load(&op.layer.input), &layer, empty(&op.layer.output))
        }
        Record::Add(op) => {
            let zero_points = (op.a_zero_point, op.b_zero_point);
            add(
                &load(&op.a),
                &operand(&op.b),
                zero_points,
                &op.factors,
                &op.clamp,
            )
        }
        Record::Mul(op) => {
            let zero_points = (op.a_zero_point, op.b_zero_point);
            mul(
                &load(&op.a),
                &operand(&op.b),
                zero_points,
                op.multiplier,
                &op.clamp,
            )
        }
        Record::MaxPool(op) => max_pool(
            &load(&op.input),
            &op.window,
            (op.low, op.high),
            empty(&op.output),
        ),
        Record::AveragePool(op) => {
            let means: Vec<(u32, Multiplier)> = op.means.iter().collect();
            average_pool(
                &load(&op.input),
                &op.window,
                op.input_zero_point,
                (op.means.include_pad(), &means),
                &op.clamp,
                empty(&op.output),
            )
        }
        Record::Softmax(op) => {
            let table: Vec<u32> = (0..=255).map(|d| op.exp(d)).collect();
            softmax(&load(&op.input), &table)
        }
        Record::Lookup(op) => lookup(&load(&op.input), &signed(op.table)),
        Record::Requantize(op) => requantize(
            &load(&op.input),
            op.input_zero_point,
            op.multiplier,
            &op.clamp,
        ),
        Record::Pad(op) => pad(
            &load(&op.input),
            [op.top, op.left, op.front],
            op.value,
            empty(&op.output),
        ),
        Record::Concat(op) => {
            let inputs: Vec<Tensor> = op
                .inputs()
                .map(|source| {
                    let input = load(&source.input);
                    match source.requantize {
                        Some((zero_point, m)) => requantize(&input, zero_point, m, &op.clamp),
                        None => input,
                    }
                })
                .collect();
            concat(&inputs, op.axis, empty(&op.output))
        }
        Record::Copy(op) => copy(
            &load(&op.input),
            op.shape,
            op.input_start,
            op.input_strides,
            empty(&op.output),
        ),
    }
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&b| b as i8).collect()
}

/// The sum of each output channel's weights, where they lie one behind the other.
fn by_channel(weights: &[u8], each: usize) -> Vec<i64> {
    signed(weights)
        .chunks_exact(each)
        .map(|w| w.iter().map(|&w| i64::from(w)).sum())
        .collect()
}

/// Undoes the folding of the zero point into the bias: `bq = b' + zi * sum(wq)` (N5).
fn layer(record: &LayerRecord<'_>, sums: &[i64]) -> Layer {
    let (channels, zero) = (record.channels, i64::from(record.input_zero_point));
    let bias = |(c, sum): (usize, &i64)| i64::from(channels.bias(c)) + zero * sum;
    Layer {
        weights: signed(record.weights),
        bias: sums.iter().enumerate().map(bias).collect(),
        multipliers: (0..sums.len()).map(|c| channels.multiplier(c)).collect(),
        input_zero_point: record.input_zero_point,
        clamp: record.clamp,
    }
}
