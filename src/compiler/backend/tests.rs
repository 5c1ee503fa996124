//! Plans that mix backends, nodes with several outputs, states, long tensors.

mod calls;
mod four_bits;
mod states;

use tinsmith_build_job::{Problem, Samples, Task};
use tinsmith_module::Module;
use tinsmith_module::build::{self, GoldenInput};

use super::context::window;
use super::*;
use crate::engine::{Kernels, Spec};
use crate::ir::eval::Evaluator;
use crate::ir::{Clamp, Operands, Operator, Port, Prepared, ScaleRule, Tensor, Window};
use crate::operators::{Add, FullyConnected, Limit, Mul};
use crate::testing::values;
use crate::verify::{Power, Runner, noise, verify};
use crate::write::{Built, Extras, write};
use crate::{plan, quantize};

/// Does fully connected layers as convolutions of one pixel, and says that it is fast.
struct AsPixel;

impl Backend for AsPixel {
    fn name(&self) -> &'static str {
        "as-pixel"
    }

    fn takes(&self, _: &Graph, node: &Node) -> bool {
        node.op.is::<FullyConnected>()
    }

    fn scratch_bytes(&self, _: &Graph, _: &Node) -> usize {
        1000
    }

    /// That of the graph, told one by one.
    fn weight_order(&self, graph: &Graph, node: &Node) -> Option<Vec<usize>> {
        Some((0..graph.tensor(node.inputs[1]).elements()).collect())
    }

    fn cycles(&self, _: &Graph, _: &Node) -> Option<u64> {
        Some(1)
    }

    fn emit(&self, cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
        assert!(cx.scratch.is_some());
        let (input, output) = (node.inputs[0], node.outputs[0]);
        let elements = |id: TensorId| cx.graph.tensor(id).elements();
        let record = build::Conv2d {
            window: window(&Window::plain([1, 1]))?,
            layer: cx.layer(
                node,
                self,
                cx.view_as(input, [1, 1, elements(input)])?,
                cx.view_as(output, [1, 1, elements(output)])?,
                &node.op.clamp().unwrap_or(Clamp::NONE),
            )?,
        };
        Ok(vec![Piece::of(output, record)])
    }
}

/// The two halves of a row.
#[derive(Debug, Clone, PartialEq)]
struct Halves;

impl Operator for Halves {
    fn name(&self) -> &'static str {
        "halves"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let half = x.values(0).len() / 2;
        for (out, part) in out.iter_mut().zip(x.values(0).chunks(half)) {
            out.copy_from_slice(part);
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        let half = vec![1, inputs[0][1] / 2];
        Ok(Some(vec![half.clone(), half]))
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(0)
    }
}

/// Does [`Halves`] with a copy for each.
struct Copies;

impl Backend for Copies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn takes(&self, _: &Graph, node: &Node) -> bool {
        node.op.is::<Halves>()
    }

    fn emit(&self, cx: &Context<'_>, node: &Node) -> Result<Vec<Piece>, BackendError> {
        let copy = |(index, &output): (usize, &TensorId)| {
            let half = cx.graph.tensor(output).elements();
            let mut input = cx.view_as(node.inputs[0], [1, 1, half])?;
            input.offset += (index * half) as u32;
            let record = build::Copy {
                input,
                output: cx.view_as(output, [1, 1, half])?,
                shape: [1, 1, 1, half as u32],
                input_start: 0,
                input_strides: [0, 0, 0, 1],
            };
            Ok(Piece::of(output, record))
        };
        node.outputs.iter().enumerate().map(copy).collect()
    }
}

const MIXED: &[&dyn Backend] = &[&portable::Portable, &AsPixel, &Copies];

fn activation(graph: &mut Graph, name: &str, size: usize) -> TensorId {
    graph.add_tensor(Tensor::activation(name, vec![1, size]))
}

fn node(
    graph: &mut Graph,
    op: impl Into<crate::ir::Op>,
    inputs: &[TensorId],
    size: usize,
) -> TensorId {
    let op = op.into();
    let output = activation(graph, op.name(), size);
    graph.add_node(Node {
        op,
        inputs: inputs.to_vec(),
        outputs: vec![output],
        sources: Vec::new(),
    });
    output
}

fn input(graph: &mut Graph, name: &str, size: usize) -> TensorId {
    let tensor = activation(graph, name, size);
    graph.inputs.push(Port::new(name, vec![1, size], tensor));
    tensor
}

fn output(graph: &mut Graph, name: &str, tensor: TensorId) {
    let shape = graph.tensor(tensor).shape.clone();
    graph.outputs.push(Port::new(name, shape, tensor));
}

fn layer(graph: &mut Graph, x: TensorId, inputs: usize, outputs: usize, seed: u32) -> TensorId {
    let w = Tensor::constant("w", vec![outputs, inputs], values(outputs * inputs, seed));
    let b = Tensor::constant("b", vec![outputs], values(outputs, seed + 1));
    let (w, b) = (graph.add_tensor(w), graph.add_tensor(b));
    node(
        graph,
        FullyConnected { clamp: Clamp::NONE },
        &[x, w, b],
        outputs,
    )
}

struct Compiled {
    graph: Graph,
    float: Graph,
    plan: plan::Plan,
    built: Built,
    samples: Samples,
}

fn compile(mut graph: Graph, backends: &[&'static dyn Backend]) -> Result<Compiled, BackendError> {
    let size = graph.sample_size();
    let samples = Samples::new(vec![size], values(size * 8, 5));
    crate::passes::optimize(&mut graph, None, &mut |_| Ok(())).unwrap();
    let float = graph.clone();
    let ranges = quantize::calibrate(&graph, &samples).unwrap();
    quantize::quantize(&mut graph, &ranges).unwrap();
    let plan = plan::plan(&graph, backends)?;
    let extras = Extras {
        task: Task::Regress,
        labels: &[],
        golden: &[GoldenInput::Seed(1)],
        macs: 0,
    };
    let built = write(&graph, &plan, &extras)?;
    Ok(Compiled {
        graph,
        float,
        plan,
        built,
        samples,
    })
}

impl Compiled {
    /// Signal to noise of each record against the float graph, after comparing both engines.
    fn verified(&self) -> Vec<Option<f64>> {
        let module = Module::parse(&self.built.image).unwrap();
        let reference = Module::parse(&self.built.reference).unwrap();
        let kernels = Kernels::new(&module);
        let spec = Spec::new(&reference);
        verify(&self.graph, &kernels, &spec, &self.samples).unwrap();
        let noise = noise(
            &self.graph,
            &kernels,
            &self.built.layers,
            &self.float,
            &self.samples,
        );
        noise.layers.iter().map(Power::db).collect()
    }
}

fn mixed() -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, "x", 20);
    let h = layer(&mut graph, x, 20, 12, 1);
    let limit = Limit {
        clamp: Clamp { lo: -0.5, hi: 0.5 },
    };
    let h = node(&mut graph, limit, &[h], 12);
    let y = layer(&mut graph, h, 12, 4, 3);
    output(&mut graph, "y", y);
    graph
}

#[test]
fn a_plan_may_mix_backends() {
    let one = compile(mixed(), ALL).unwrap();
    let two = compile(mixed(), MIXED).unwrap();
    let names =
        |c: &Compiled| -> Vec<&str> { c.plan.steps.iter().map(|s| s.backend.name()).collect() };
    assert!(names(&one).iter().all(|name| *name == "portable"));
    assert_eq!(names(&two), ["as-pixel", "as-pixel"]);
    assert_eq!(two.plan.arena_bytes, one.plan.arena_bytes + 1000);
    for compiled in [&one, &two] {
        assert!(compiled.verified().iter().all(|db| db.unwrap() > 25.0));
    }
    let run = |c: &Compiled| {
        let module = Module::parse(&c.built.image).unwrap();
        let kernels = Kernels::new(&module);
        let mut running = Runner::new(&c.graph, &kernels).start();
        let answers = c.samples.iter().map(|sample| running.run(sample).unwrap());
        answers.collect::<Vec<_>>()
    };
    assert_eq!(run(&one), run(&two));
}

#[test]
fn the_portable_backend_tells_its_cycles() {
    let cycles = |graph: &Graph| -> Vec<Option<u64>> {
        let nodes = graph.order().into_iter();
        let nodes = nodes.filter_map(|id| graph.node(id));
        nodes
            .map(|node| portable::Portable.cycles(graph, node))
            .collect()
    };
    // Multiply-accumulates, and elements where there are none.
    let cycles = cycles(&compile(states::leaky(), ALL).unwrap().graph);
    assert_eq!(
        cycles,
        [(4 * 406, 10), (16 * 41, 10), (4 * 329, 10)].map(|(n, d): (u64, u64)| Some(n.div_ceil(d)))
    );
}

#[test]
fn what_nobody_takes_is_named() {
    let mut graph = Graph::default();
    let x = input(&mut graph, "x", 8);
    let halves = [
        activation(&mut graph, "a", 4),
        activation(&mut graph, "b", 4),
    ];
    graph.add_node(Node {
        op: Halves.into(),
        inputs: vec![x],
        outputs: halves.to_vec(),
        sources: vec!["split".into()],
    });
    output(&mut graph, "a", halves[0]);
    let error = compile(graph, ALL).err().unwrap();
    assert_eq!(error, BackendError::Impossible("halves (split)".into()));
}

/// Two inputs, a node with two outputs, two outputs.
#[test]
fn several_inputs_and_outputs() {
    let mut graph = Graph::default();
    let (x, z) = (input(&mut graph, "x", 8), input(&mut graph, "z", 4));
    let halves = [
        activation(&mut graph, "a", 4),
        activation(&mut graph, "b", 4),
    ];
    graph.add_node(Node {
        op: Halves.into(),
        inputs: vec![x],
        outputs: halves.to_vec(),
        sources: Vec::new(),
    });
    let clamp = Clamp::NONE;
    let sum = node(&mut graph, Add { clamp }, &[halves[0], z], 4);
    let product = node(&mut graph, Mul { clamp }, &[halves[1], z], 4);
    output(&mut graph, "sum", sum);
    output(&mut graph, "product", product);

    let mut evaluator = Evaluator::new(&graph);
    evaluator.run(&[1., 2., 3., 4., 5., 6., 7., 8., 10., 20., 30., 40.]);
    let expected = [11., 22., 33., 44., 50., 120., 210., 320.];
    assert_eq!(evaluator.output(), expected);

    let compiled = compile(graph, MIXED).unwrap();
    assert_eq!(compiled.plan.steps.len(), 3);
    assert_eq!(compiled.built.layers.len(), 4);
    let noise = compiled.verified();
    assert!(
        noise.iter().all(|db| db.is_none_or(|db| db > 30.0)),
        "{noise:?}"
    );
}

/// More elements along an axis than 16 bits can tell, a prime number of them too.
#[test]
fn long_tensors() {
    for size in [65_536, 65_537, 98_309] {
        let mut graph = Graph::default();
        let x = input(&mut graph, "x", size);
        let limit = Limit {
            clamp: Clamp { lo: -0.5, hi: 0.5 },
        };
        let limited = node(&mut graph, limit, &[x], size);
        let y = node(&mut graph, Add { clamp: Clamp::NONE }, &[limited, x], size);
        output(&mut graph, "y", y);
        let compiled = compile(graph, ALL).unwrap();
        assert_eq!(compiled.built.layers.len(), 2);
        let noise = compiled.verified();
        assert!(noise.iter().all(|db| db.unwrap() > 30.0), "{noise:?}");
    }
}
