//! Moves go down past operations that don't care about the order of elements, until they meet
//! their inverse or an end of the graph.

use crate::ir::{Graph, Node, NodeId, Op, Patch, Rule, Tensor, TensorId};

/// See the module.
pub(super) struct SinkMoves;

impl Rule for SinkMoves {
    fn name(&self) -> &'static str {
        "sink-moves"
    }

    fn rewrite(&self, graph: &Graph, id: NodeId, node: &Node) -> Option<Patch> {
        let movable = |x: TensorId| {
            let (_, before) = graph.producer(x)?;
            matches!(before.op, Op::Reshape | Op::Transpose { .. }).then_some(before)
        };
        let before = movable(*node.inputs.first()?)?;
        let source = graph.tensor(before.inputs[0]);
        let moved = graph.tensor(node.inputs[0]);
        let mut inputs = node.inputs.clone();
        inputs[0] = before.inputs[0];
        let mut shape = source.shape.clone();
        let op = match &node.op {
            Op::Map(_) => node.op.clone(),
            Op::Affine => {
                let kept = match &before.op {
                    Op::Transpose { perm } => perm.last() == Some(&(perm.len() - 1)),
                    _ => source.shape.last() == moved.shape.last(),
                };
                if !kept {
                    return None;
                }
                node.op.clone()
            }
            Op::Add { .. } | Op::Sub { .. } | Op::Mul { .. } => {
                let other = movable(node.inputs[1])?;
                if other.op != before.op || graph.tensor(other.inputs[0]).shape != source.shape {
                    return None;
                }
                inputs[1] = other.inputs[0];
                node.op.clone()
            }
            Op::Concat { axis } => {
                let Op::Transpose { perm } = &before.op else {
                    return None;
                };
                for input in inputs.iter_mut().skip(1) {
                    let other = movable(*input)?;
                    if other.op != before.op {
                        return None;
                    }
                    *input = other.inputs[0];
                }
                let axis = perm[*axis];
                shape[axis] = inputs.iter().map(|&i| graph.tensor(i).shape[axis]).sum();
                Op::Concat { axis }
            }
            Op::Pad {
                before: front,
                after: back,
                value,
            } => {
                let axes = axes_of(&before.op, &source.shape, &moved.shape)?;
                let (mut lead, mut tail) = (vec![0; shape.len()], vec![0; shape.len()]);
                for (axis, target) in axes.iter().enumerate() {
                    match target {
                        Some(target) => {
                            lead[*target] = front[axis];
                            tail[*target] = back[axis];
                            shape[*target] += front[axis] + back[axis];
                        }
                        None if front[axis] + back[axis] == 0 => {}
                        None => return None,
                    }
                }
                Op::Pad {
                    before: lead,
                    after: tail,
                    value: *value,
                }
            }
            _ => return None,
        };
        let output = graph.tensor(node.outputs[0]);
        let mut patch = Patch::new(graph);
        patch.remove(id);
        let inner = patch.tensor(Tensor {
            shape,
            ..output.clone()
        });
        patch.node(Node {
            op,
            inputs,
            outputs: vec![inner],
            sources: node.sources.clone(),
        });
        patch.node(Node {
            op: before.op.clone(),
            inputs: vec![inner],
            outputs: node.outputs.clone(),
            sources: before.sources.clone(),
        });
        Some(patch)
    }
}

/// For each axis after a move the axis before it that it is; none for an added axis of extent 1.
/// A reshape that does more than add or remove such axes has no answer.
fn axes_of(op: &Op, before: &[usize], after: &[usize]) -> Option<Vec<Option<usize>>> {
    if let Op::Transpose { perm } = op {
        return Some(perm.iter().map(|&p| Some(p)).collect());
    }
    let mut sources = before
        .iter()
        .enumerate()
        .filter(|&(_, &extent)| extent != 1);
    let axes = after
        .iter()
        .map(|&extent| match extent {
            1 => Some(None),
            _ => {
                let (axis, &source) = sources.next()?;
                (source == extent).then_some(Some(axis))
            }
        })
        .collect::<Option<Vec<_>>>()?;
    sources.next().is_none().then_some(axes)
}
