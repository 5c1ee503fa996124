//! Every state gets a node that stores its next value.

use crate::ir::{Graph, Node, Tensor};
use crate::operators::{Reshape, Store};

/// Adds the nodes.
pub(super) fn add(graph: &mut Graph) {
    for index in 0..graph.states.len() {
        let state = graph.states[index];
        let stored = graph
            .producer(state.next)
            .is_some_and(|(_, node)| node.op.is::<Store>());
        if stored {
            continue;
        }
        let tensor = graph.tensor(state.tensor);
        let output = Tensor::activation(format!("{}.next", tensor.name), tensor.shape.clone());
        let mut next = state.next;
        if graph.tensor(next).shape != output.shape {
            let viewed = graph.add_tensor(output.clone());
            graph.add_node(Node {
                op: Reshape.into(),
                inputs: vec![next],
                outputs: vec![viewed],
                sources: Vec::new(),
            });
            next = viewed;
        }
        let output = graph.add_tensor(output);
        graph.add_node(Node {
            op: Store.into(),
            inputs: vec![next, state.tensor],
            outputs: vec![output],
            sources: Vec::new(),
        });
        graph.states[index].next = output;
    }
}
