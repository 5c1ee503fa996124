//! The range of every activation over the calibration samples.

use crate::ir::eval::Evaluator;
use crate::ir::{Graph, Range, TensorId};
use tinsmith_build_job::Samples;

/// Runs all samples. The error names a tensor that became NaN or infinite, and the sample.
pub(crate) fn calibrate(graph: &Graph, samples: &Samples) -> Result<Vec<Option<Range>>, String> {
    let threads = threads(graph);
    let share = samples.len().div_ceil(threads).max(1);
    let elements = samples.size().max(1);
    // Minimum and maximum don't depend on the order, so neither does the result on the threads.
    let parts: Vec<Result<Vec<Option<Range>>, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = samples
            .data
            .chunks(share * elements)
            .enumerate()
            .map(|(index, part)| {
                scope.spawn(move || {
                    ranges(graph, part.chunks_exact(elements)).map_err(|(sample, tensor)| {
                        let sample = index * share + sample;
                        format!("sample {sample} makes tensor {tensor} NaN or infinite")
                    })
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|w| {
                w.join()
                    .unwrap_or_else(|_| Err("a calibration thread failed".into()))
            })
            .collect()
    });
    let mut merged: Vec<Option<Range>> = vec![None; graph.tensor_count()];
    for part in parts {
        for (all, one) in merged.iter_mut().zip(part?) {
            *all = match (*all, one) {
                (Some(a), Some(b)) => Some(Range {
                    lo: a.lo.min(b.lo),
                    hi: a.hi.max(b.hi),
                }),
                (a, b) => a.or(b),
            };
        }
    }
    Ok(merged)
}

/// Threads to run samples on: one if a sample depends on those before it.
pub(crate) fn threads(graph: &Graph) -> usize {
    if graph.states.is_empty() {
        std::thread::available_parallelism()
            .map_or(1, usize::from)
            .clamp(1, 4)
    } else {
        1
    }
}

fn ranges<'a>(
    graph: &Graph,
    samples: impl Iterator<Item = &'a [f32]>,
) -> Result<Vec<Option<Range>>, (usize, String)> {
    let mut evaluator = Evaluator::new(graph);
    let mut ranges: Vec<Option<Range>> = vec![None; graph.tensor_count()];
    for state in &graph.states {
        let at_reset = evaluator.value(state.tensor).iter();
        let range = at_reset.fold(Range { lo: 0.0, hi: 0.0 }, |range, &v| Range {
            lo: range.lo.min(v),
            hi: range.hi.max(v),
        });
        ranges[state.tensor.0] = Some(range);
    }
    for (index, sample) in samples.enumerate() {
        evaluator.run(sample);
        for (tensor, range) in ranges.iter_mut().enumerate() {
            let id = TensorId(tensor);
            let values = evaluator.value(id);
            if graph.tensor(id).is_constant() || values.is_empty() {
                continue;
            }
            let (mut lo, mut hi) = (f32::INFINITY, f32::NEG_INFINITY);
            let mut finite = true;
            for &v in values {
                lo = if v < lo { v } else { lo };
                hi = if v > hi { v } else { hi };
                finite &= v.is_finite();
            }
            if !finite {
                return Err((index, graph.tensor(id).name.clone()));
            }
            let old = range.unwrap_or(Range { lo, hi });
            *range = Some(Range {
                lo: old.lo.min(lo),
                hi: old.hi.max(hi),
            });
        }
    }
    Ok(ranges)
}
