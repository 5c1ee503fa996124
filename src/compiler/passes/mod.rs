//! Rewriting passes: one file each, made of rules that propose patches.

mod absorb_moves;
mod affine_map;
mod centre_inputs;
mod dead_code;
mod fold_affine;
mod fuse_activation;
mod fuse_pad;
mod layouts;
mod lower_affine;
mod lower_linear;
mod merge_moves;
mod sink_moves;
mod store_states;

use tinsmith_build_job::Samples;

pub(crate) use centre_inputs::features;

use crate::ir::{Graph, Op, Rule, rewrite};
use crate::operators::{Reshape, Transpose, transposed};

/// Brings a graph into the form that can be quantized: moves between layouts cancelled or
/// absorbed, affine maps folded into weights, activations and padding fused. `samples` tell what the
/// inputs are like; `legalise` rewrites what no backend takes as it stands. Returns how many patches were applied; the error names a rule that
/// did not come to rest.
pub(crate) fn optimize(
    graph: &mut Graph,
    samples: Option<&Samples>,
    legalise: &mut dyn FnMut(&mut Graph) -> Result<(), String>,
) -> Result<usize, String> {
    // Moves of the file and those of the import meet first, so that the ends take what is left only.
    let cancel: &[&dyn Rule] = &[&merge_moves::MergeMoves, &sink_moves::SinkMoves];
    let absorb: &[&dyn Rule] = &[
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
    run(graph, cancel)?;
    run(graph, absorb)?;
    if let Some(samples) = samples {
        centre_inputs::centre(graph, samples);
    }
    for _ in 0..8 {
        if run(graph, cancel)? + run(graph, absorb)? + run(graph, arithmetic)? == 0 {
            break;
        }
    }
    legalise(graph)?;
    run(graph, cancel)?;
    run(graph, absorb)?;
    run(graph, arithmetic)?;
    store_states::add(graph);
    layouts::assign(graph);
    Ok(total)
}

/// Affine maps that are left become another scale, or depthwise convolutions.
pub(crate) fn lower_affine(graph: &mut Graph) -> Result<(), String> {
    rewrite(
        graph,
        &[&lower_affine::LowerAffine, &lower_linear::LowerLinear],
    )
    .map(|_| ())
    .map_err(|rule| format!("rule {rule} does not end"))
}

/// Whether an operation only moves elements.
fn is_move(op: &Op) -> bool {
    op.is::<Reshape>() || op.is::<Transpose>()
}

/// Applies moves, first to last, to the indices of a tensor: element k of the result is element
/// `map[k]` of the tensor.
fn trace_moves(moves: &[&Op], shape: &[usize], shapes: &[&[usize]]) -> Vec<u32> {
    let elements: usize = shape.iter().product();
    let mut map: Vec<u32> = (0..u32::try_from(elements).unwrap_or(u32::MAX)).collect();
    let mut current = shape;
    for (op, after) in moves.iter().zip(shapes) {
        if let Some(Transpose { perm }) = op.get() {
            map = transposed(perm, &map, current);
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
    // Lexicographic order, so that the identity comes first and the result is unique.
    loop {
        if transposed(&perm, &iota, shape) == order {
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
