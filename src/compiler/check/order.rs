//! The order of nodes.

use std::collections::HashMap;

use tinsmith_build_job::{CompileError, Problem};
use tract_onnx::pb;

use super::At;
use crate::onnx::clip;

/// Everything used is produced once and before its use; sorts the nodes if they are not in order.
pub(super) fn sort(at: &At<'_>, graph: &mut pb::GraphProto) -> Result<(), CompileError> {
    let mut producer: HashMap<&str, Option<usize>> = HashMap::new();
    for tensor in &graph.initializer {
        if producer.insert(&tensor.name, None).is_some() {
            return Err(at.file(Problem::ProducedTwice {
                tensor: clip(&tensor.name),
            }));
        }
    }
    let mut inputs: Vec<&str> = Vec::new();
    for input in &graph.input {
        if inputs.contains(&input.name.as_str()) {
            return Err(at.file(Problem::ProducedTwice {
                tensor: clip(&input.name),
            }));
        }
        inputs.push(&input.name);
        producer.insert(&input.name, None);
    }
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if producer.insert(output, Some(index)).is_some() {
                let tensor = clip(output);
                return Err(at.node(node, Problem::ProducedTwice { tensor }));
            }
        }
    }
    for output in &graph.output {
        match producer.get(output.name.as_str()) {
            Some(Some(_)) => {}
            Some(None) => {
                let what = "an output of the graph is one of its inputs; there is nothing to run";
                return Err(at.file(Problem::Unsupported { what: what.into() }));
            }
            None => {
                return Err(at.file(Problem::NotProduced {
                    tensor: clip(&output.name),
                }));
            }
        }
    }
    // Depth-first, without recursion; 1 is on the path, 2 is done.
    let mut state = vec![0_u8; graph.node.len()];
    let mut order = Vec::with_capacity(graph.node.len());
    for start in 0..graph.node.len() {
        let mut stack = vec![(start, 0_usize)];
        while let Some((index, next)) = stack.pop() {
            let node = &graph.node[index];
            if next == 0 {
                if state[index] == 2 {
                    continue;
                }
                state[index] = 1;
            }
            match node.input.get(next) {
                None => {
                    state[index] = 2;
                    order.push(index);
                }
                Some(name) => {
                    stack.push((index, next + 1));
                    if name.is_empty() {
                        continue;
                    }
                    match producer.get(name.as_str()) {
                        None => {
                            return Err(at.node(node, Problem::NotProduced { tensor: clip(name) }));
                        }
                        Some(Some(before)) => match state[*before] {
                            0 => stack.push((*before, 0)),
                            1 => return Err(at.node(node, Problem::Cyclic)),
                            _ => {}
                        },
                        Some(None) => {}
                    }
                }
            }
        }
    }
    let mut nodes: Vec<Option<pb::NodeProto>> = std::mem::take(&mut graph.node)
        .into_iter()
        .map(Some)
        .collect();
    graph.node = order
        .into_iter()
        .filter_map(|index| nodes[index].take())
        .collect();
    Ok(())
}
