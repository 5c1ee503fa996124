//! A model's states live from run to run, from their reset at the first run of a module on.

use tinsmith_coap::Code;
use tinsmith_module::build::{
    Add, Clamp, Copy, GoldenInput, ModuleBuilder, Operand, Segment, SegmentKind, View,
};
use tinsmith_module::numerics::SumFactors;

use super::world::World;
use crate::testing::{Board, WIDTH, package_with, tensor};

const RESET: u8 = 10;

/// The output, which the state becomes, is the sum of input and state.
fn module() -> Vec<u8> {
    let mut builder = ModuleBuilder::new();
    let mut segment = |size, kind| {
        builder.segment(Segment {
            size,
            align: 4,
            kind,
        })
    };
    let width = WIDTH as u32;
    let scratch = segment(2 * width, SegmentKind::Scratch);
    let state = segment(width, SegmentKind::State);
    let view = |segment, offset| View::dense(segment, offset, 1, 1, width);
    builder.op(Add {
        a: view(scratch, 0),
        b: Operand::Arena(view(state, 0)),
        output: view(scratch, 16),
        a_zero_point: 0,
        b_zero_point: 0,
        factors: SumFactors::add(1.0, 1.0, 1.0).unwrap(),
        clamp: Clamp::full(0),
    });
    builder.op(Copy {
        input: view(scratch, 16),
        output: view(state, 0),
        shape: [1, 1, 1, width],
        input_start: 0,
        input_strides: [0, 0, 0, 1],
    });
    builder.input(tensor("in", 0, None));
    builder.output(tensor("sum", 16, None));
    builder.reset(vec![RESET; WIDTH]);
    let golden = GoldenInput::Seed(7);
    builder.golden_sequence_from_spec(golden, 3).unwrap();
    builder.finish().unwrap()
}

#[test]
fn states_begin_at_reset_and_go_on() {
    let mut w = World::registered(Board::small());
    let package = package_with(&module(), 1, 60, |_| {});
    assert_eq!(w.push(&package).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/27303/0/10", "").unwrap(), Code::CHANGED);
    let infer = |w: &mut World| w.infer(&[1; WIDTH]).unwrap()[0];
    assert_eq!([infer(&mut w), infer(&mut w)], [11, 12]);
    // A self test begins and ends at reset.
    assert_eq!(w.execute("/27303/0/12", "").unwrap(), Code::CHANGED);
    assert_eq!([infer(&mut w), infer(&mut w)], [11, 12]);
    w.reboot();
    w.settle().unwrap();
    assert_eq!([infer(&mut w), infer(&mut w)], [11, 12]);
}
