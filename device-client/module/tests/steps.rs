//! A run in steps ends a step inside a layer: the next layer, whose rows may be cheaper than what is
//! left of the budget, waits for it.

use core::task::Poll;

use lwm2m_objects::compute::{DType, TensorDescriptor};
use tinsmith_module::build::{
    GoldenInput, Lookup, MaxPool, ModuleBuilder, Segment, SegmentKind, TensorSpec, View, Window,
};
use tinsmith_module::{Module, SelfTest};

const ROWS: u32 = 8;
const BYTES: u32 = ROWS * 8 * 4;

fn tensor(name: &str, offset: u32) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: name.into(),
            dtype: DType::Int8,
            shape: vec![ROWS, 8, 4],
            permutation: vec![0, 1, 2],
            axis: None,
            scales: vec![1.0],
            zero_points: vec![0],
            task: None,
        },
        segment: 0,
        offset,
    }
}

#[test]
fn a_layer_is_done_before_the_next_begins() {
    let mut builder = ModuleBuilder::new();
    let segment = builder.segment(Segment {
        size: 2 * BYTES,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    let view = |offset| View::dense(segment, offset, ROWS, 8, 4);
    builder.op(MaxPool {
        input: view(0),
        output: view(BYTES),
        window: Window {
            kernel_height: 7,
            kernel_width: 7,
            stride_y: 1,
            stride_x: 1,
            dilation_y: 1,
            dilation_x: 1,
            pad_top: 3,
            pad_left: 3,
        },
        low: -128,
        high: 127,
    });
    let table = core::array::from_fn(|i| (i as u8).wrapping_mul(3) as i8);
    builder.op(Lookup {
        input: view(BYTES),
        output: view(0),
        table,
    });
    builder.input(tensor("x", 0));
    builder.output(tensor("y", 0));
    builder.golden_from_spec(GoldenInput::Seed(7)).unwrap();
    let image = builder.finish().unwrap();
    let module = Module::parse(&image).unwrap();
    for budget in (1..=module.work()).step_by(37) {
        let mut arena = vec![0; module.arena_bytes()];
        let mut test = SelfTest::new();
        let outcome = loop {
            if let Poll::Ready(outcome) = test.step(&module, &mut arena, budget) {
                break outcome;
            }
        };
        assert_eq!(outcome, Ok(()), "budget {budget}");
    }
}
