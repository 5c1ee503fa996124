//! Random layers, and the comparison of a module's run with the specification.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use lwm2m_objects::compute::{DType, Task, TensorDescriptor};
use tinsmith_module::Module;
use tinsmith_module::build::{
    Clamp, ModuleBuilder, Op, Segment, SegmentKind, TensorSpec, View, Window,
};
use tinsmith_module::numerics::Multiplier;
use tinsmith_module::spec;

/// splitmix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    pub fn size(&mut self, low: u32, high: u32) -> u32 {
        self.range(i64::from(low), i64::from(high)) as u32
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn i8(&mut self) -> i8 {
        match self.next() % 4 {
            0 => [-128, -127, 127, 0][self.next() as usize % 4],
            _ => self.next() as i8,
        }
    }

    pub fn i8s(&mut self, n: usize) -> Vec<i8> {
        // Some layers have nothing but extremes.
        if self.chance(15) {
            let value = if self.chance(50) { -128 } else { 127 };
            return vec![value; n];
        }
        (0..n).map(|_| self.i8()).collect()
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        self.i8s(n).into_iter().map(|x| x as u8).collect()
    }

    pub fn clamp(&mut self) -> Clamp {
        let zero_point = self.i8();
        let (mut low, mut high) = (-128, 127);
        if self.chance(40) {
            let (a, b) = (self.i8(), self.i8());
            (low, high) = (a.min(b), a.max(b));
        }
        Clamp {
            zero_point,
            low,
            high,
        }
    }

    /// A multiplier that brings sums of about `magnitude` into the range of int8, or any other.
    pub fn multiplier(&mut self, magnitude: f64) -> Multiplier {
        match self.next() % 10 {
            0 => Multiplier::ZERO,
            1 => Multiplier {
                q: self.range(1 << 30, (1 << 31) - 1) as i32,
                t: self.range(1, 62) as u8,
            },
            2 => Multiplier::new(0.5f64.powi(self.range(0, 12) as i32)).unwrap(),
            _ => {
                let factor = (self.next() % 10_000 + 1) as f64 / 10_000.0;
                Multiplier::new(factor * 400.0 / magnitude.max(1.0)).unwrap()
            }
        }
    }

    pub fn multipliers(&mut self, n: u32, magnitude: f64) -> Vec<Multiplier> {
        (0..n).map(|_| self.multiplier(magnitude)).collect()
    }

    pub fn biases(&mut self, n: u32, magnitude: f64) -> Vec<i32> {
        let bound = if self.chance(10) {
            1 << 30
        } else {
            magnitude as i64
        };
        (0..n).map(|_| self.range(-bound, bound) as i32).collect()
    }

    /// A window and the size of its output along one axis: taps, stride, dilation, pad, output.
    fn axis(&mut self, input: u32, taps: u32) -> (u32, u32, u32, u32, u32) {
        let taps = self.size(1, taps);
        let stride = self.size(1, 3);
        let dilation = if self.chance(70) { 1 } else { self.size(2, 3) };
        let reach = (taps - 1) * dilation;
        // Now and then a window lies in the padding altogether.
        let most = reach + u32::from(self.chance(10));
        let before = self.size(0, most);
        let after = self.size(0, most);
        let padded = input + before + after;
        let output = if padded > reach {
            (padded - reach - 1) / stride + 1
        } else {
            1
        };
        (taps, stride, dilation, before, output)
    }

    /// A window over an input, and the height and width of the output.
    pub fn window(&mut self, height: u32, width: u32, taps: u32) -> (Window, u32, u32) {
        let (kernel_height, stride_y, dilation_y, pad_top, out_height) = self.axis(height, taps);
        let (kernel_width, stride_x, dilation_x, pad_left, out_width) = self.axis(width, taps);
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
        (window, out_height, out_width)
    }
}

/// Places tensors one after the other.
#[derive(Default)]
pub struct Arena {
    pub bytes: u32,
}

impl Arena {
    pub fn dense(&mut self, height: u32, width: u32, channels: u32) -> View {
        let view = View::dense(0, self.bytes, height, width, channels);
        self.bytes += view.bytes() as u32;
        view
    }

    /// A tensor that may have gaps between its rows.
    pub fn view(&mut self, rng: &mut Rng, height: u32, width: u32, channels: u32) -> View {
        let mut view = View::dense(0, self.bytes, height, width, channels);
        if rng.chance(40) {
            view.row_stride += rng.size(0, 9);
            self.bytes += rng.size(0, 5);
            view.offset = self.bytes;
        }
        self.bytes += view.row_stride * height;
        view
    }
}

pub fn tensor(offset: u32, bytes: u32, task: Option<Task>) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: "t".into(),
            dtype: DType::Int8,
            shape: vec![bytes],
            permutation: vec![0],
            axis: None,
            scales: vec![1.0],
            zero_points: vec![0],
            task,
        },
        segment: 0,
        offset,
    }
}

/// A module of the given operators whose input and output are the whole arena.
pub fn module(arena: &Arena, ops: impl IntoIterator<Item = Op>) -> Vec<u8> {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: arena.bytes,
        align: 16,
        kind: SegmentKind::Scratch,
    });
    builder.input(tensor(0, arena.bytes, None));
    builder.output(tensor(0, arena.bytes, Some(Task::Regress)));
    for op in ops {
        builder.op(op);
    }
    builder.finish().unwrap()
}

/// Runs a module on random bytes with kernels and specification; the whole arenas are equal after.
pub fn compare(rng: &mut Rng, image: &[u8]) -> Vec<u8> {
    let module = Module::parse(image).unwrap();
    let input = rng.bytes(module.arena_bytes());
    let mut arena = input.clone();
    let mut layers = vec![Vec::new(); module.layer_count()];
    module
        .run_traced(&mut arena, &mut |layer, bytes| {
            layers[layer].extend_from_slice(bytes);
        })
        .unwrap();
    let expected = spec::run(&module, &[&input]).unwrap();
    assert_eq!(layers, expected.layers);
    assert_eq!(arena, expected.outputs[0]);
    input
}
