//! Rewriting passes: one file each, made of rules that propose patches.

mod absorb_moves;
mod dead_code;
mod fold_affine;
mod fuse_activation;
mod fuse_pad;
mod lower_affine;
mod merge_moves;
mod sink_moves;

use super::ir::{Graph, Layout, Op, Rule, TensorId, eval, rewrite};

/// Brings a graph into the form that can be quantized: moves between layouts cancelled or
/// absorbed, affine maps folded into weights, activations and padding fused. Returns how many
/// patches each round applied; the error names a rule that did not come to rest.
pub(crate) fn optimize(graph: &mut Graph) -> Result<usize, String> {
    let moves: &[&dyn Rule] = &[
        &merge_moves::MergeMoves,
        &absorb_moves::AbsorbInput,
        &absorb_moves::AbsorbOutput,
        &absorb_moves::AbsorbIntoFullyConnected,
        &sink_moves::SinkMoves,
    ];
    let arithmetic: &[&dyn Rule] = &[
        &fold_affine::FoldAffine,
        &fuse_activation::FuseActivation,
        &fuse_pad::FusePad,
    ];
    let mut total = 0;
    let mut run = |graph: &mut Graph, rules: &[&dyn Rule]| -> Result<usize, String> {
        let applied = rewrite(graph, rules).map_err(|rule| format!("rule {rule} does not end"))?;
        dead_code::sweep(graph);
        total += applied;
        Ok(applied)
    };
    for _ in 0..8 {
        if run(graph, moves)? + run(graph, arithmetic)? == 0 {
            break;
        }
    }
    run(graph, &[&lower_affine::LowerAffine])?;
    run(graph, moves)?;
    run(graph, arithmetic)?;
    for index in 0..graph.tensor_count() {
        let tensor = graph.tensor_mut(TensorId(index));
        if tensor.shape.len() == 4 && !tensor.is_constant() {
            tensor.layout = Layout::ChannelsLast;
        }
    }
    Ok(total)
}

/// Applies moves, first to last, to the indices of a tensor: element k of the result is element
/// `map[k]` of the tensor.
fn trace_moves(moves: &[&Op], shape: &[usize], shapes: &[&[usize]]) -> Vec<u32> {
    let elements: usize = shape.iter().product();
    let mut map: Vec<u32> = (0..u32::try_from(elements).unwrap_or(u32::MAX)).collect();
    let mut current = shape;
    for (op, after) in moves.iter().zip(shapes) {
        if let Op::Transpose { perm } = op {
            let mut next = vec![0; map.len()];
            eval::transpose::run(perm, &map, current, &mut next);
            map = next;
        }
        current = after;
    }
    map
}

/// The permutation of the axes of `shape` that stores elements in `order` (for each stored element
/// its index in ONNX order), if there is one. Axis i of the stored tensor is ONNX axis `perm[i]`.
pub(crate) fn permutation(shape: &[usize], order: &[u32]) -> Option<Vec<usize>> {
    let mut perm: Vec<usize> = (0..shape.len()).collect();
    let iota: Vec<u32> = (0..u32::try_from(order.len()).ok()?).collect();
    let mut stored = vec![0; order.len()];
    // Lexicographic order, so that the identity comes first and the result is unique.
    loop {
        eval::transpose::run(&perm, &iota, shape, &mut stored);
        if stored == order {
            return Some(perm);
        }
        let pivot = (1..perm.len()).rev().find(|&i| perm[i - 1] < perm[i])?;
        let swap = (pivot..perm.len())
            .rev()
            .find(|&i| perm[i] > perm[pivot - 1])?;
        perm.swap(pivot - 1, swap);
        perm[pivot..].reverse();
    }
}

#[cfg(test)]
mod tests;
