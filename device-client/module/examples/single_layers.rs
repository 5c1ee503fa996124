//! Writes a module with one layer for each kernel, to count its instructions on a device:
//! `cargo run --release -p tinsmith-module --features std --example single_layers -- FOLDER`, then
//! `tests/infer.py --icount` of the QEMU board. Prints the name of each file, the bytes of its input,
//! and the steps that the reckoning of the compiler's portable backend counts.

use std::path::Path;

use lwm2m_objects::compute::{DType, TensorDescriptor};
use tinsmith_module::build::*;
use tinsmith_module::numerics::{Multiplier, SumFactors};

type Failure = Box<dyn std::error::Error>;

fn tensor(name: &str, view: &View) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: name.into(),
            dtype: DType::Int8,
            shape: vec![view.bytes() as u32],
            permutation: vec![0],
            axis: None,
            scales: vec![0.1],
            zero_points: vec![0],
            task: None,
        },
        segment: 0,
        offset: view.offset,
    }
}

struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn write(
        &self,
        name: &str,
        (input, output): (View, View),
        steps: usize,
        op: impl Into<Op>,
    ) -> Result<(), Failure> {
        let mut builder = ModuleBuilder::new();
        builder.segment(Segment {
            size: output.offset + output.bytes() as u32,
            align: 16,
            kind: SegmentKind::Scratch,
        });
        builder.op(op);
        builder.input(tensor("x", &input));
        builder.output(tensor("y", &output));
        builder.golden_from_spec(GoldenInput::Seed(1))?;
        std::fs::write(self.0.join(name), builder.finish()?)?;
        println!("{name} {} {steps}", input.bytes());
        Ok(())
    }
}

/// Input and output behind each other.
fn views([h, w, c]: [u32; 3], [oh, ow, oc]: [u32; 3]) -> (View, View) {
    let behind = (h * w * c).next_multiple_of(4);
    (
        View::dense(0, 0, h, w, c),
        View::dense(0, behind, oh, ow, oc),
    )
}

fn layer((input, output): (View, View), weights: usize) -> Result<Layer, Failure> {
    let channels = output.channels as usize;
    Ok(Layer {
        input,
        output,
        input_zero_point: 3,
        clamp: Clamp::full(-128),
        weights: (0..weights).map(|i| (i * 73 % 255) as u8 as i8).collect(),
        bias: vec![100; channels],
        multipliers: vec![Multiplier::new(0.002)?; channels],
    })
}

fn weighted(folder: &Folder<'_>) -> Result<(), Failure> {
    for (name, side, depth, outputs, kernel) in [
        ("conv_3x3", 8, 16, 16, 3),
        ("conv_5x5", 8, 16, 16, 5),
        ("conv_1x1", 8, 32, 32, 1),
    ] {
        let both = views([side, side, depth], [side, side, outputs]);
        let window = Window {
            pad_top: kernel / 2,
            pad_left: kernel / 2,
            ..Window::new(kernel, kernel)
        };
        let weights = (kernel * kernel * depth * outputs) as usize;
        let layer = layer(both, weights)?;
        let steps = (side * side) as usize * weights;
        folder.write(name, both, steps, Conv2d { window, layer })?;
    }
    let both = views([8, 8, 32], [8, 8, 32]);
    let window = Window {
        pad_top: 1,
        pad_left: 1,
        ..Window::new(3, 3)
    };
    let layer_of = layer(both, 9 * 32)?;
    let op = DepthwiseConv {
        window,
        layer: layer_of,
    };
    folder.write("depthwise_conv", both, 64 * 9 * 32, op)?;
    let both = views([1, 1, 256], [1, 1, 64]);
    let op = FullyConnected {
        layer: layer(both, 256 * 64)?,
    };
    folder.write("fully_connected", both, 256 * 64, op)
}

fn elementwise(folder: &Folder<'_>) -> Result<(), Failure> {
    let both = views([1, 64, 64], [1, 64, 64]);
    let ((input, output), n) = (both, 4096);
    let clamp = Clamp::full(0);
    let multiplier = Multiplier::new(0.01)?;
    let add = Add {
        a: input,
        b: Operand::Arena(input),
        output,
        a_zero_point: 1,
        b_zero_point: 1,
        factors: SumFactors::add(0.1, 0.1, 0.2)?,
        clamp,
    };
    folder.write("add", both, n, add)?;
    let mul = Mul {
        a: input,
        b: Operand::Arena(input),
        output,
        a_zero_point: 1,
        b_zero_point: 1,
        multiplier,
        clamp,
    };
    folder.write("mul", both, n, mul)?;
    let table = core::array::from_fn(|i| i as i8);
    folder.write(
        "lookup",
        both,
        n,
        Lookup {
            input,
            output,
            table,
        },
    )?;
    let requantize = Requantize {
        input,
        output,
        input_zero_point: 1,
        multiplier,
        clamp,
    };
    folder.write("requantize", both, n, requantize)?;
    let copy = Copy {
        input,
        output,
        shape: [1, 1, 64, 64],
        input_start: 0,
        input_strides: [0, 0, 1, 64],
    };
    folder.write("copy", both, n, copy)?;
    let softmax = Softmax {
        input,
        output,
        table: core::array::from_fn(|d| 1 << (22 - d / 16)),
    };
    folder.write("softmax", both, n, softmax)
}

fn windows(folder: &Folder<'_>) -> Result<(), Failure> {
    let both = views([16, 16, 16], [8, 8, 16]);
    let ((input, output), n) = (both, 4096);
    let window = Window {
        stride_y: 2,
        stride_x: 2,
        ..Window::new(2, 2)
    };
    let max = MaxPool {
        input,
        output,
        window,
        low: -128,
        high: 127,
    };
    folder.write("max_pool", both, n, max)?;
    let average = AveragePool {
        input,
        output,
        window,
        input_zero_point: 1,
        clamp: Clamp::full(0),
        count_include_pad: false,
        input_scale: 0.1,
        output_scale: 0.1,
    };
    folder.write("average_pool", both, n, average)?;
    let both = views([16, 16, 16], [18, 18, 16]);
    let pad = Pad {
        input: both.0,
        output: both.1,
        top: 1,
        left: 1,
        front: 0,
        value: 1,
    };
    folder.write("pad", both, 18 * 18 * 16, pad)?;
    let both = views([16, 16, 16], [16, 16, 32]);
    let source = || ConcatInput {
        view: both.0,
        requantize: None,
    };
    let concat = Concat {
        inputs: vec![source(), source()],
        output: both.1,
        axis: Axis::Channels,
        clamp: Clamp::full(0),
    };
    folder.write("concat", both, 2 * n, concat)
}

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    let folder = Folder(Path::new(&folder));
    weighted(&folder)?;
    elementwise(&folder)?;
    windows(&folder)
}
