use super::super::ir::{Clamp, Function, Node, Port, Tensor};
use super::*;

fn chain(ops: &[(Op, usize)], input: usize) -> Graph {
    let mut graph = Graph::default();
    let mut tensor = graph.add_tensor(Tensor::activation("x", vec![1, input]));
    let port = |tensor| Port {
        name: "p".into(),
        shape: vec![],
        tensor,
        order: [].into(),
    };
    graph.inputs.push(port(tensor));
    for (op, size) in ops {
        let output = graph.add_tensor(Tensor::activation("t", vec![1, *size]));
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
    Op::FullyConnected { clamp: Clamp::NONE }
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
        (Op::Reshape, 64),
        (Op::Map(Function::Tanh), 64),
        (Op::Softmax, 64),
    ];
    let graph = chain(&ops, 100);
    let plan = plan(&graph);
    assert_eq!((plan.arena_bytes, plan.steps.len()), (164, 3));
    let offset = plan.offset(graph.outputs[0].tensor);
    assert!(offset.is_some());
    assert_eq!(offset, plan.offset(TensorId(1)));
}

#[test]
fn a_tensor_still_needed_is_not_overwritten() {
    let mut graph = chain(&[(Op::Map(Function::Tanh), 64)], 64);
    let (x, y) = (graph.inputs[0].tensor, graph.outputs[0].tensor);
    let sum = graph.add_tensor(Tensor::activation("s", vec![1, 64]));
    let op = Op::Add { clamp: Clamp::NONE };
    graph.add_node(Node {
        op,
        inputs: vec![y, x],
        outputs: vec![sum],
        sources: vec![],
    });
    graph.outputs[0].tensor = sum;
    let plan = plan(&graph);
    assert_eq!(plan.arena_bytes, 128);
    assert_ne!(plan.offset(x), plan.offset(y));
    assert_eq!(plan.offset(sum), plan.offset(y));
}
