//! States from the graph to the module.

use tinsmith_module::Module;

use super::super::*;
use super::{Compiled, compile, input, node, output};
use crate::engine::Kernels;
use crate::ir::eval::Evaluator;
use crate::ir::{Clamp, Data, Role, State, Tensor};
use crate::operators::{Add, FullyConnected};
use crate::verify::Runner;
use crate::{golden, plan};
/// A running sum: y = state + x, the next state is half of y.
pub(super) fn leaky() -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, "x", 4);
    let state = graph.add_tensor(Tensor {
        role: Role::State(Data::F32([1.0, -1.0, 0.5, 0.0].into())),
        ..Tensor::activation("state", vec![1, 4])
    });
    let clamp = Clamp::NONE;
    let y = node(&mut graph, Add { clamp }, &[state, x], 4);
    let diagonal = |i: usize| if i.is_multiple_of(5) { 0.5 } else { 0.0 };
    let w = Tensor::constant("w", vec![4, 4], (0..16).map(diagonal).collect());
    let b = Tensor::constant("b", vec![4], vec![0.0; 4]);
    let (w, b) = (graph.add_tensor(w), graph.add_tensor(b));
    let next = node(&mut graph, FullyConnected { clamp }, &[y, w, b], 4);
    graph.states.push(State {
        tensor: state,
        next,
    });
    output(&mut graph, "y", y);
    graph
}

#[test]
fn states_live_from_run_to_run() {
    let graph = leaky();
    let mut evaluator = Evaluator::new(&graph);
    evaluator.run(&[1.0; 4]);
    assert_eq!(evaluator.output(), [2.0, 0.0, 1.5, 1.0]);
    evaluator.run(&[1.0; 4]);
    assert_eq!(evaluator.output(), [2.0, 1.0, 1.75, 1.5]);

    let compiled = compile(leaky(), ALL).unwrap();
    let Compiled {
        graph, plan, built, ..
    } = &compiled;
    assert_eq!(plan.state_bytes, 4);
    let place = plan.place(graph.states[0].tensor);
    assert_eq!(place, Some((plan::Space::State, 0)));
    assert_eq!(plan.place(graph.states[0].next), place);
    let module = Module::parse(&built.image).unwrap();
    assert_eq!(module.arena_bytes(), plan.arena_bytes + plan.state_bytes);
    // Without its state the second run would be 1 off.
    assert_eq!(module.states_at_reset(), golden::reset(graph));
    let kernels = Kernels::new(&module);
    for _ in 0..2 {
        let mut running = Runner::new(graph, &kernels).start();
        let mut evaluator = Evaluator::new(&compiled.float);
        for sample in compiled.samples.iter() {
            evaluator.run(sample);
            let answer = running.run(sample).unwrap().output;
            for (ours, real) in answer.iter().zip(evaluator.output()) {
                assert!((ours - real).abs() < 0.05, "{ours} {real}");
            }
        }
    }
    let noise = compiled.verified();
    assert!(noise.iter().all(|db| db.unwrap() > 25.0), "{noise:?}");
}

#[test]
fn a_state_that_goes_on_unchanged_is_refused() {
    let mut graph = leaky();
    graph.states[0].next = graph.states[0].tensor;
    let error = compile(graph, ALL).err().unwrap();
    assert!(matches!(error, BackendError::Impossible(_)), "{error}");
}
