//! One record with each of its tensors in an arena segment of its own: in memories that lie apart and
//! in one, whole and a few rows at a time.
#![allow(unreachable_pub, clippy::unwrap_used)]

use tinsmith_module::build::*;
use tinsmith_module::{Arena, Module, spec};

use crate::common::{Rng, tensor};

/// The tensors of an operator, the output last.
fn views(op: &mut Op) -> Vec<&mut View> {
    let mut all = Vec::new();
    match op {
        Op::Conv2d(Conv2d { layer, .. })
        | Op::DepthwiseConv(DepthwiseConv { layer, .. })
        | Op::FullyConnected(FullyConnected { layer }) => {
            all.extend([&mut layer.input, &mut layer.output]);
        }
        Op::Add(Add { a, b, output, .. }) | Op::Mul(Mul { a, b, output, .. }) => {
            all.push(a);
            if let Operand::Arena(view) = b {
                all.push(view);
            }
            all.push(output);
        }
        Op::MaxPool(MaxPool { input, output, .. })
        | Op::AveragePool(AveragePool { input, output, .. })
        | Op::Softmax(Softmax { input, output, .. })
        | Op::Lookup(Lookup { input, output, .. })
        | Op::Requantize(Requantize { input, output, .. })
        | Op::Pad(Pad { input, output, .. })
        | Op::Copy(Copy { input, output, .. }) => all.extend([input, output]),
        Op::Concat(Concat { inputs, output, .. }) => {
            all.extend(inputs.iter_mut().map(|input| &mut input.view));
            all.push(output);
        }
        other => panic!("no tensors of {other:?}"),
    }
    all
}

/// Puts each tensor into a segment of its own; equal ones stay together. Gives the module, whose
/// inputs and outputs are the segments.
fn spread(mut op: Op) -> Vec<u8> {
    let mut places: Vec<View> = Vec::new();
    for view in views(&mut op) {
        let known = places.iter().position(|known| known == view);
        let segment = known.unwrap_or(places.len());
        if known.is_none() {
            places.push(*view);
        }
        (view.segment, view.offset) = (segment as u8, segment as u32);
    }
    let mut builder = ModuleBuilder::new();
    for (segment, view) in (0..).zip(&places) {
        let size = u32::from(segment) + view.row_stride * view.height;
        builder.segment(Segment {
            size,
            align: 1 << segment,
            kind: SegmentKind::Scratch,
        });
        let mut whole = tensor(0, size, None);
        whole.segment = segment;
        builder.input(whole.clone());
        builder.output(whole);
    }
    builder.op(op);
    builder.finish().unwrap()
}

/// Runs the only step in ascending parts of random height.
fn run_in_parts(rng: &mut Rng, module: &Module<'_>, arena: &mut Arena<'_>) {
    for step in module.steps() {
        let height = step.facts().output.height;
        let mut y = 0;
        while y < height {
            let end = (y + rng.size(1, 3) as usize).min(height);
            step.run(arena, y..end);
            y = end;
        }
    }
}

pub fn check(rng: &mut Rng, op: Op) {
    let image = spread(op);
    let module = Module::parse(&image).unwrap();
    let inputs: Vec<Vec<u8>> = module
        .inputs()
        .map(|input| rng.bytes(input.bytes as usize))
        .collect();
    let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = spec::run(&module, &slices).unwrap().outputs;
    let outputs = |arena: &Arena<'_>| -> Vec<Vec<u8>> {
        let outputs = module.outputs();
        outputs.map(|t| arena.tensor(&t).to_vec()).collect()
    };

    let mut apart = inputs.clone();
    let mut arena = Arena::new(module.arena(), apart.iter_mut().map(Vec::as_mut_slice)).unwrap();
    module.run_in(&mut arena, None);
    assert_eq!(outputs(&arena), expected, "apart");

    let mut apart = inputs.clone();
    let mut arena = Arena::new(module.arena(), apart.iter_mut().map(Vec::as_mut_slice)).unwrap();
    run_in_parts(rng, &module, &mut arena);
    assert_eq!(outputs(&arena), expected, "apart, in parts");

    let mut memory = vec![0; module.arena_bytes()];
    let mut arena = Arena::in_one(module.arena(), &mut memory).unwrap();
    for (tensor, bytes) in module.inputs().zip(&inputs) {
        arena.tensor_mut(&tensor).copy_from_slice(bytes);
    }
    run_in_parts(rng, &module, &mut arena);
    assert_eq!(outputs(&arena), expected, "in one, in parts");
    for (tensor, bytes) in module.outputs().zip(&expected) {
        assert_eq!(&memory[module.range(&tensor)], bytes);
    }
}
