//! Weights that the file brought with 4 bits.

use super::super::*;
use super::{activation, compile, input, output};
use crate::ir::{Clamp, DType, Data, Origin, Quantization, Role, Tensor};
use crate::operators::FullyConnected;

fn graph(dtype: DType) -> Graph {
    let mut graph = Graph::default();
    let x = input(&mut graph, "x", 6);
    let y = activation(&mut graph, "y", 3);
    let stored: Vec<i8> = (0..18).map(|i| i % 16 - 8).collect();
    let w = graph.add_tensor(Tensor {
        dtype,
        quantization: Some(Quantization {
            scale: vec![0.5, 0.25, 0.125],
            zero: vec![0; 3],
            axis: Some(0),
            origin: Origin::Imported,
        }),
        role: Role::Constant(Data::I8(stored.into())),
        ..Tensor::activation("w", vec![3, 6])
    });
    let b = graph.add_tensor(Tensor::constant("b", vec![3], vec![0.5, -0.5, 0.0]));
    graph.add_node(Node {
        op: FullyConnected { clamp: Clamp::NONE }.into(),
        inputs: vec![x, w, b],
        outputs: vec![y],
        sources: Vec::new(),
    });
    output(&mut graph, "y", y);
    graph
}

/// A module has no packed weights, since no kernel reads them.
#[test]
fn they_are_stored_with_eight() {
    let weights = |graph: &Graph| {
        let node = graph.order()[0];
        let id = graph.node(node).unwrap().inputs[1];
        (graph.tensor(id).dtype, graph.tensor(id).bytes())
    };
    assert_eq!(weights(&graph(DType::I4)), (DType::I4, 9));
    let compiled = compile(graph(DType::I4), ALL).unwrap();
    assert_eq!(weights(&compiled.graph), (DType::I8, 18));
    assert_eq!(compiled.built.weights_bytes, 18 + 3 * 4);
    assert!(compiled.verified().iter().all(|db| db.unwrap() > 25.0));
    let eight = compile(graph(DType::I8), ALL).unwrap();
    assert_eq!(compiled.built.image, eight.built.image);
}
