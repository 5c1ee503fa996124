//! Multiply-accumulates per second of the portable kernels on this machine, for layers of the
//! shapes that small models have: `cargo run --release -p tinsmith-module --features std
//! --example throughput`.

use std::time::Instant;

use tinsmith_module::Module;
use tinsmith_module::build::*;
use tinsmith_module::numerics::Multiplier;

type Failure = Box<dyn std::error::Error>;

fn measure(name: &str, arena: u32, macs: u64, op: impl Into<Op>) -> Result<(), Failure> {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: arena,
        align: 16,
        kind: SegmentKind::Scratch,
    });
    builder.op(op);
    let image = builder.finish()?;
    let module = Module::parse(&image)?;
    let mut memory: Vec<u8> = (0..arena).map(|i| (i * 37) as u8).collect();
    let start = Instant::now();
    let mut runs = 0u64;
    while start.elapsed().as_millis() < 300 {
        module.run(&mut memory)?;
        runs += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:28} {:8.1} million per second",
        (runs * macs) as f64 / seconds / 1e6
    );
    Ok(())
}

fn weights(n: usize) -> Vec<i8> {
    (0..n).map(|i| (i * 73 % 255) as u8 as i8).collect()
}

fn conv(name: &str, [h, w, c, o]: [u32; 4], kernel: (u32, u32), pad: u32) -> Result<(), Failure> {
    let input = View::dense(0, 0, h, w, c);
    let output = View::dense(0, h * w * c, h, w, o);
    let window = Window {
        pad_top: pad.min(kernel.0 - 1),
        pad_left: pad,
        ..Window::new(kernel.0, kernel.1)
    };
    let patch = window.taps() * c as usize;
    let op = Conv2d {
        window,
        layer: Layer {
            input,
            output,
            input_zero_point: 3,
            clamp: Clamp::full(-128),
            weights: weights(patch * o as usize),
            bias: vec![100; o as usize],
            multipliers: vec![Multiplier::new(0.002)?; o as usize],
        },
    };
    measure(
        name,
        h * w * (c + o),
        u64::from(h * w * o) * patch as u64,
        op,
    )
}

fn main() -> Result<(), Failure> {
    conv("conv 3x3, 1 to 16, 28x28", [28, 28, 1, 16], (3, 3), 1)?;
    conv("conv 3x3, 16 to 16, 32x32", [32, 32, 16, 16], (3, 3), 1)?;
    conv("conv 3x3, 64 to 64, 8x8", [8, 8, 64, 64], (3, 3), 1)?;
    conv("conv 3x3, 160 to 32, 8x8", [8, 8, 160, 32], (3, 3), 1)?;
    conv("conv 1x5, 32 to 64, 1x128", [1, 128, 32, 64], (1, 5), 2)?;
    conv("pointwise 64 to 64, 25x5", [25, 5, 64, 64], (1, 1), 0)?;
    conv("pointwise 8 to 16, 48x48", [48, 48, 8, 16], (1, 1), 0)?;
    let input = View::dense(0, 0, 25, 5, 64);
    let depthwise = DepthwiseConv {
        window: Window {
            pad_top: 1,
            pad_left: 1,
            ..Window::new(3, 3)
        },
        layer: Layer {
            input,
            output: View {
                offset: 8000,
                ..input
            },
            input_zero_point: 3,
            clamp: Clamp::full(-128),
            weights: weights(9 * 64),
            bias: vec![100; 64],
            multipliers: vec![Multiplier::new(0.02)?; 64],
        },
    };
    measure(
        "depthwise 3x3, 64, 25x5",
        16_000,
        25 * 5 * 64 * 9,
        depthwise,
    )?;
    let fully = FullyConnected {
        layer: Layer {
            input: View::dense(0, 0, 1, 1, 640),
            output: View::dense(0, 640, 1, 1, 128),
            input_zero_point: 3,
            clamp: Clamp::full(-128),
            weights: weights(640 * 128),
            bias: vec![100; 128],
            multipliers: vec![Multiplier::new(0.002)?; 128],
        },
    };
    measure("fully connected 640 to 128", 768, 640 * 128, fully)
}
