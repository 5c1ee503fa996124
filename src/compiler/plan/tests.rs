use super::*;
use crate::ir::{Clamp, DType, Node, Op, Port, Tensor};
use crate::operators::{Add, FullyConnected, Reshape, Softmax, Tanh};

fn byte(name: &str, size: usize) -> Tensor {
    Tensor {
        dtype: DType::I8,
        ..Tensor::activation(name, vec![1, size])
    }
}

fn plan(graph: &Graph) -> Plan {
    super::plan(graph, backend::ALL).unwrap()
}

fn chain(ops: &[(Op, usize)], input: usize) -> Graph {
    let mut graph = Graph::default();
    let mut tensor = graph.add_tensor(byte("x", input));
    let port = |tensor| Port {
        name: "p".into(),
        shape: vec![],
        tensor,
        order: [].into(),
        steps: None,
    };
    graph.inputs.push(port(tensor));
    for (op, size) in ops {
        let output = graph.add_tensor(byte("t", *size));
        graph.add_node(Node {
            op: op.clone(),
            inputs: vec![tensor],
            outputs: vec![output],
            sources: vec![],
        });
        tensor = output;
    }
    graph.outputs.push(port(tensor));
    graph
}

fn fc() -> Op {
    FullyConnected { clamp: Clamp::NONE }.into()
}

#[test]
fn a_chain_takes_the_largest_pair() {
    let graph = chain(&[(fc(), 128), (fc(), 8), (fc(), 640)], 640);
    let plan = plan(&graph);
    assert_eq!((plan.arena_bytes, plan.steps.len()), (768, 3));
    assert_eq!(plan.live_bytes, [768, 136, 648]);
}

#[test]
fn tables_and_softmax_work_in_place_and_reshapes_cost_nothing() {
    let ops = [
        (fc(), 64),
        (Reshape.into(), 64),
        (Tanh.into(), 64),
        (Softmax.into(), 64),
    ];
    let graph = chain(&ops, 100);
    let plan = plan(&graph);
    assert_eq!((plan.arena_bytes, plan.steps.len()), (164, 3));
    let offset = plan.place(graph.outputs[0].tensor);
    assert!(offset.is_some());
    assert_eq!(offset, plan.place(TensorId(1)));
}

#[test]
fn a_tensor_still_needed_is_not_overwritten() {
    let mut graph = chain(&[(Tanh.into(), 64)], 64);
    let (x, y) = (graph.inputs[0].tensor, graph.outputs[0].tensor);
    let sum = graph.add_tensor(byte("s", 64));
    let op = Add { clamp: Clamp::NONE }.into();
    graph.add_node(Node {
        op,
        inputs: vec![y, x],
        outputs: vec![sum],
        sources: vec![],
    });
    graph.outputs[0].tensor = sum;
    let plan = plan(&graph);
    assert_eq!(plan.arena_bytes, 128);
    assert_ne!(plan.place(x), plan.place(y));
    assert_eq!(plan.place(sum), plan.place(y));
}
