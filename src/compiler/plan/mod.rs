//! The memory plan: which step runs when, and where in the arena each tensor lies.

mod place;

use super::ir::{Graph, NodeId, Op, TensorId};
use place::{Buffer, place};

/// Bytes that every tensor's address is a multiple of.
pub(crate) const ALIGN: usize = 4;

/// Order and placement.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Steps in order; reshapes need none.
    pub steps: Vec<NodeId>,
    /// Bytes of arena, exactly.
    pub arena_bytes: usize,
    /// Bytes in use at each step.
    pub live_bytes: Vec<usize>,
    offsets: Vec<Option<usize>>,
}

impl Plan {
    /// Offset of a tensor in the arena.
    pub(crate) fn offset(&self, tensor: TensorId) -> Option<usize> {
        self.offsets.get(tensor.0).copied().flatten()
    }
}

/// Which inputs an operation may overwrite with its result, element by element.
fn in_place(op: &Op) -> &'static [usize] {
    match op {
        Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } => &[0, 1],
        Op::Map(_) | Op::Softmax => &[0],
        _ => &[],
    }
}

/// Plans a graph of one-byte activations.
pub(crate) fn plan(graph: &Graph) -> Plan {
    let steps: Vec<NodeId> = graph
        .order()
        .into_iter()
        .filter(|&id| graph.node(id).is_some_and(|node| node.op != Op::Reshape))
        .collect();
    // A reshape's result is its input.
    let root = |mut tensor: TensorId| {
        while let Some((_, node)) = graph.producer(tensor)
            && node.op == Op::Reshape
        {
            tensor = node.inputs[0];
        }
        tensor
    };
    let end = steps.len();
    let mut first = vec![usize::MAX; graph.tensor_count()];
    let mut last = vec![0; graph.tensor_count()];
    let mut touch = |tensor: TensorId, step: usize| {
        first[tensor.0] = first[tensor.0].min(step);
        last[tensor.0] = last[tensor.0].max(step);
    };
    for port in &graph.inputs {
        touch(root(port.tensor), 0);
    }
    for (step, &id) in steps.iter().enumerate() {
        let Some(node) = graph.node(id) else { continue };
        for &tensor in node.inputs.iter().chain(&node.outputs) {
            if !graph.tensor(tensor).is_constant() {
                touch(root(tensor), step);
            }
        }
    }
    for port in &graph.outputs {
        touch(root(port.tensor), end);
    }
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut buffer_of = vec![None; graph.tensor_count()];
    let mut take = |tensor: TensorId, buffers: &mut Vec<Buffer>, shared: Option<usize>| {
        if buffer_of[tensor.0].is_some() {
            return;
        }
        let size = graph.tensor(tensor).elements().next_multiple_of(ALIGN);
        let index = match shared {
            Some(index) => {
                buffers[index].last = buffers[index].last.max(last[tensor.0]);
                index
            }
            None => {
                buffers.push(Buffer {
                    size,
                    first: first[tensor.0],
                    last: last[tensor.0],
                });
                buffers.len() - 1
            }
        };
        buffer_of[tensor.0] = Some(index);
    };
    for port in &graph.inputs {
        take(root(port.tensor), &mut buffers, None);
    }
    let mut shares: Vec<Option<usize>> = vec![None; graph.tensor_count()];
    for (step, &id) in steps.iter().enumerate() {
        let Some(node) = graph.node(id) else { continue };
        let output = node.outputs[0];
        let elements = graph.tensor(output).elements();
        let reusable = in_place(&node.op).iter().find_map(|&index| {
            let source = root(*node.inputs.get(index)?);
            let dies = last[source.0] == step && graph.tensor(source).elements() == elements;
            if dies { shares[source.0] } else { None }
        });
        take(output, &mut buffers, reusable);
        shares[output.0] = reusable.or_else(|| buffers.len().checked_sub(1));
    }
    let (offsets, arena_bytes) = place(&buffers);
    let live_bytes = (0..end)
        .map(|step| {
            buffers
                .iter()
                .filter(|b| b.first <= step && step <= b.last)
                .map(|b| b.size)
                .sum()
        })
        .collect();
    let offsets = (0..graph.tensor_count())
        .map(|index| buffer_of[root(TensorId(index)).0].map(|buffer: usize| offsets[buffer]))
        .collect();
    Plan {
        steps,
        arena_bytes,
        live_bytes,
        offsets,
    }
}

#[cfg(test)]
mod tests;
