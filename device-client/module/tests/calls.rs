//! Calls are checked as other records are; what runs them is the program's.
#![allow(clippy::unwrap_used)]

use core::ops::Range;

use tinsmith_module::build::*;
use tinsmith_module::kernels::{self, Machine};
use tinsmith_module::plan::Problem;
use tinsmith_module::plan::call::CallRecord;
use tinsmith_module::{Arena, Kernel, Module, ModuleError};

/// Adds the first byte of its code and the first of its constant to each byte.
struct Adds;

impl Machine for Adds {
    fn check(call: &CallRecord<'_>) -> Result<(), Problem> {
        match call.constants().next() {
            Some([_, ..]) if call.inputs().count() == 1 => Ok(()),
            _ => Err(Problem::Table),
        }
    }

    fn run(call: &CallRecord<'_>, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (from, to) = (call.inputs().next().unwrap(), call.output);
        let constant = call.constants().next().unwrap();
        let row = to.row_bytes();
        for at in rows.start * row..rows.end * row {
            let sum = arena.span(&from)[at].wrapping_add(call.code[0]);
            arena.span_mut(&to)[at] = sum.wrapping_add(constant[0]);
        }
    }
}

static ADDS: Kernel = Kernel::calls::<Adds>();

const fn view(offset: u32) -> View {
    View::dense(0, offset, 4, 2, 2)
}

fn call(output: View, constants: Vec<Vec<u8>>) -> Call {
    Call {
        code: vec![3, 0, 0, 0],
        instruction_sets: 0,
        inputs: vec![view(0)],
        constants,
        output,
        work: 16,
        stands_for: Box::new(
            Lookup {
                input: view(0),
                output,
                table: core::array::from_fn(|i| (i as u8).wrapping_add(128 + 42) as i8),
            }
            .into(),
        ),
    }
}

fn builder(call: Call) -> ModuleBuilder {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: 32,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    builder.op(call);
    builder
}

#[test]
fn a_call_computes_rows_as_asked() {
    let image = builder(call(view(16), vec![vec![39]])).finish().unwrap();
    let table = [&ADDS];
    let module = Module::parse_for(&image, &table).unwrap();
    assert_eq!(module.work(), 17);
    for parts in [[4, 4, 4], [1, 3, 4], [2, 2, 9]] {
        let mut memory: Vec<u8> = (0..32).collect();
        let mut arena = Arena::in_one(module.arena(), &mut memory).unwrap();
        let step = module.steps().next().unwrap();
        let mut done = 0;
        for end in parts {
            step.run(&mut arena, done..end);
            done = end;
        }
        let expected: Vec<u8> = (42..58).collect();
        assert_eq!(memory[16..], expected);
    }
    // The record that it stands for gives the same.
    let image = builder(call(view(16), vec![vec![39]])).without_calls();
    let image = image.finish().unwrap();
    let mut memory: Vec<u8> = (0..32).collect();
    Module::parse(&image).unwrap().run(&mut memory).unwrap();
    assert_eq!(memory[16..], (42..58).collect::<Vec<u8>>());
}

#[test]
fn what_a_call_names_is_checked() {
    let problem = |image: &[u8]| match Module::parse_for(image, &[&ADDS]).err() {
        Some(ModuleError::Record { layer: 0, problem }) => problem,
        other => panic!("{other:?}"),
    };
    let image = builder(call(view(16), vec![vec![39]])).finish().unwrap();
    // Behind the view of the output, the record's first: its place in CODE.
    let first = [0u8, 0, 4, 0, 2, 0, 2, 0, 16, 0, 0, 0];
    let at = image.windows(12).position(|w| w == first).unwrap() + 12;
    for (entry, expected) in [
        (4u32, Problem::OutsideCode),
        (u32::MAX, Problem::OutsideCode),
    ] {
        let mut bad = image.clone();
        bad[at..at + 4].copy_from_slice(&entry.to_le_bytes());
        assert_eq!(problem(&bad), expected);
    }
    let mut overlaps = image.clone();
    overlaps[at - 4] = 4;
    assert_eq!(problem(&overlaps), Problem::Overlap);
    let mut reserved = image.clone();
    reserved[at + 10] = 1;
    assert_eq!(problem(&reserved), Problem::Reserved);
    let mut constant = image.clone();
    constant[at + 12 + 12] = 2;
    assert_eq!(problem(&constant), Problem::OutsideConst);
    // What the machine refuses.
    let image = builder(call(view(0), Vec::new())).finish().unwrap();
    assert_eq!(problem(&image), Problem::Table);
}

#[test]
fn without_a_machine_code_is_not_known() {
    let image = builder(call(view(0), vec![vec![39]])).finish().unwrap();
    let error = Module::parse_for(&image, kernels::ALL).err();
    assert_eq!(error, Some(ModuleError::UnknownSection(2)));
}
