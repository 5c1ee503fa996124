//! A backend that emits code, and the machine that runs it.

use std::ops::Range;

use tinsmith_module::format::isa;
use tinsmith_module::kernels::{self, Machine};
use tinsmith_module::plan::call::CallRecord;
use tinsmith_module::plan::{CALL, Problem};
use tinsmith_module::{ABI_VERSION, Arena, Host, Kernel, Module, ModuleError, Refusal};

use super::super::*;
use super::{Compiled, compile, input, layer, node, output};
use crate::engine::{Kernels, Spec};
use crate::operators::Tanh;
use crate::verify::{Runner, verify};

/// A machine whose code is a table: the result for each stored value, from -128 to 127.
struct Tables;

impl Machine for Tables {
    fn check(call: &CallRecord<'_>) -> Result<(), Problem> {
        match (call.code.len(), call.inputs().count()) {
            (256.., 1) => Ok(()),
            _ => Err(Problem::Table),
        }
    }

    fn run(call: &CallRecord<'_>, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (from, to) = (call.inputs().next().unwrap(), call.output);
        for y in rows {
            for x in 0..to.row_bytes() {
                let stored = arena.span(&from)[from.row(y) - from.start + x];
                let at = to.row(y) - to.start + x;
                arena.span_mut(&to)[at] = call.code[usize::from(stored ^ 0x80)];
            }
        }
    }
}

static TABLES: Kernel = Kernel::calls::<Tables>();

/// Makes code for [`Tables`] of elementwise functions; if told so, wrong code.
struct AsCode {
    wrong: bool,
}

impl Backend for AsCode {
    fn name(&self) -> &'static str {
        "code"
    }

    fn takes(&self, _: &Graph, node: &Node) -> bool {
        node.op.function(0.0).is_some()
    }

    fn cycles(&self, _: &Graph, _: &Node) -> Option<u64> {
        Some(1)
    }

    fn emit(&self, cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
        let call = |piece: Piece| {
            let build::Op::Lookup(lookup) = &piece.record else {
                panic!("{:?}", piece.record)
            };
            let mut code = lookup.table.map(i8::cast_unsigned);
            if self.wrong {
                code[77] ^= 1;
            }
            let record = build::Call {
                code: code.to_vec(),
                instruction_sets: isa::DSP,
                inputs: vec![lookup.input],
                constants: Vec::new(),
                output: lookup.output,
                work: lookup.output.bytes() as u32,
                stands_for: Box::new(piece.record.clone()),
            };
            Piece {
                record: record.into(),
                ..piece
            }
        };
        Ok(portable::Portable
            .emit(cx, node)?
            .into_iter()
            .map(call)
            .collect())
    }
}

const MIXED: &[&dyn Backend] = &[&portable::Portable, &AsCode { wrong: false }];
const WRONG: &[&dyn Backend] = &[&portable::Portable, &AsCode { wrong: true }];

fn graph() -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, "x", 300);
    let h = layer(&mut graph, x, 300, 300, 1);
    let h = node(&mut graph, Tanh, &[h], 300);
    let y = layer(&mut graph, h, 300, 4, 3);
    output(&mut graph, "y", y);
    graph
}

fn table() -> Vec<&'static Kernel> {
    [kernels::ALL, &[&TABLES]].concat()
}

fn verified(compiled: &Compiled) -> Result<(), String> {
    let table = table();
    let module = Module::parse_for(&compiled.built.image, &table).unwrap();
    let reference = Module::parse(&compiled.built.reference).unwrap();
    let (kernels, spec) = (Kernels::new(&module), Spec::new(&reference));
    verify(&compiled.graph, &kernels, &spec, &compiled.samples)
}

#[test]
fn a_plan_may_call_code() {
    let plain = compile(graph(), ALL).unwrap();
    let mixed = compile(graph(), MIXED).unwrap();
    let names: Vec<&str> = mixed.plan.steps.iter().map(|s| s.backend.name()).collect();
    assert_eq!(names, ["portable", "code", "portable"]);
    assert_eq!(mixed.built.reference, plain.built.image);
    verified(&mixed).unwrap();

    let table = table();
    let modules = [
        Module::parse(&plain.built.image).unwrap(),
        Module::parse_for(&mixed.built.image, &table).unwrap(),
    ];
    let [one, two] = modules.each_ref().map(|module| {
        let kernels = Kernels::new(module);
        let mut running = Runner::new(&plain.graph, &kernels).start();
        let answers = plain.samples.iter().map(|s| running.run(s).unwrap());
        answers.collect::<Vec<_>>()
    });
    assert_eq!(one, two);
}

#[test]
fn code_that_computes_something_else_is_found() {
    let error = verified(&compile(graph(), WRONG).unwrap()).unwrap_err();
    assert!(error.contains("differ in layer 1"), "{error}");
}

#[test]
fn a_device_without_the_machine_refuses() {
    let image = compile(graph(), MIXED).unwrap().built.image;
    assert_eq!(
        Module::parse(&image).err(),
        Some(ModuleError::UnknownSection(2))
    );
    let table = table();
    let module = Module::parse_for(&image, &table).unwrap();
    let mut host = Host {
        abi: ABI_VERSION,
        kernels: kernels::RESIDENT,
        instruction_sets: isa::THUMB,
        arena_bytes: 1 << 20,
        stack_bytes: 1 << 20,
    };
    let refusal = Err(Refusal::Kernel {
        id: CALL,
        version: 1,
    });
    assert_eq!(module.check_host(&host), refusal);
    let with_calls = [kernels::RESIDENT, &[(CALL, 2)]].concat();
    host.kernels = &with_calls;
    let refusal = Err(Refusal::InstructionSets { missing: isa::DSP });
    assert_eq!(module.check_host(&host), refusal);
    host.instruction_sets |= isa::DSP;
    assert_eq!(module.check_host(&host), Ok(()));
}
