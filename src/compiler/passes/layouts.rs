//! The layout of each tensor: channels last where an operator that slides a window reads or writes
//! it, itself or through operators that treat every element alike.

use crate::ir::{Graph, Layout, Node, TensorId};

/// Sets the layout of every activation and state.
pub(super) fn assign(graph: &mut Graph) {
    let order = graph.order();
    for index in 0..graph.tensor_count() {
        graph.tensor_mut(TensorId(index)).layout = Layout::Plain;
    }
    loop {
        let mut last: Vec<TensorId> = Vec::new();
        for node in order.iter().filter_map(|&id| graph.node(id)) {
            last.extend(channels_last(graph, node));
        }
        last.retain(|&id| graph.tensor(id).layout == Layout::Plain);
        if last.is_empty() {
            return;
        }
        for id in last {
            graph.tensor_mut(id).layout = Layout::ChannelsLast;
        }
    }
}

/// The tensors of a node that are channels last, as far as its neighbours are known.
fn channels_last(graph: &Graph, node: &Node) -> Vec<TensorId> {
    let activations = || {
        let inputs = node.inputs.iter().copied();
        inputs
            .filter(|&id| !graph.tensor(id).is_constant())
            .chain(node.outputs.iter().copied())
    };
    if node.op.layout() == Some(Layout::ChannelsLast) {
        return activations().collect();
    }
    let shape = node.outputs.first().map(|&id| &graph.tensor(id).shape);
    let alike = activations().all(|id| Some(&graph.tensor(id).shape) == shape);
    let any = activations().any(|id| graph.tensor(id).layout == Layout::ChannelsLast);
    if alike && any && !super::is_move(&node.op) {
        activations().collect()
    } else {
        Vec::new()
    }
}
