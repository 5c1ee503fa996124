//! Placement of buffers with known lifetimes: greedy best fit in several orders, the best wins.

/// A piece of memory needed from one step to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buffer {
    /// Bytes, a multiple of the alignment.
    pub(super) size: usize,
    /// First step.
    pub(super) first: usize,
    /// Last step.
    pub(super) last: usize,
}

impl Buffer {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Offset of each buffer, and the bytes that all take.
pub(super) fn place(buffers: &[Buffer]) -> (Vec<usize>, usize) {
    let mut bound = 0;
    for buffer in buffers {
        let live = buffers
            .iter()
            .filter(|b| b.first <= buffer.first && buffer.first <= b.last);
        bound = bound.max(live.map(|b| b.size).sum());
    }
    let span = |b: &Buffer| b.last - b.first + 1;
    type Key = fn(&Buffer, usize) -> (usize, usize);
    let keys: [Key; 5] = [
        |b, _| (usize::MAX - b.size, b.first),
        |b, span| (usize::MAX - b.size.saturating_mul(span), b.first),
        |b, span| (usize::MAX - span, usize::MAX - b.size),
        |b, _| (b.first, usize::MAX - b.size),
        |b, _| (usize::MAX - b.last, usize::MAX - b.size),
    ];
    let mut best: Option<(Vec<usize>, usize)> = None;
    for key in keys {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&i| (key(&buffers[i], span(&buffers[i])), i));
        let (offsets, total) = greedy(buffers, &order);
        if best.as_ref().is_none_or(|(_, least)| total < *least) {
            best = Some((offsets, total));
        }
        if best.as_ref().is_some_and(|(_, least)| *least == bound) {
            break;
        }
    }
    best.unwrap_or_default()
}

fn greedy(buffers: &[Buffer], order: &[usize]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(buffers.len());
    let mut total = 0;
    for &index in order {
        let buffer = &buffers[index];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| buffers[other].meets(buffer))
            .map(|&other| (offsets[other], offsets[other] + buffers[other].size))
            .collect();
        taken.sort_unstable();
        // The smallest gap that fits, or the end.
        let (mut end, mut fit): (usize, Option<(usize, usize)>) = (0, None);
        for (from, to) in taken {
            if from >= end + buffer.size && fit.is_none_or(|(gap, _)| from - end < gap) {
                fit = Some((from - end, end));
            }
            end = end.max(to);
        }
        offsets[index] = fit.map_or(end, |(_, at)| at);
        total = total.max(offsets[index] + buffer.size);
        placed.push(index);
    }
    (offsets, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buffers: &[Buffer]) -> usize {
        let (offsets, total) = place(buffers);
        for (i, a) in buffers.iter().enumerate() {
            assert!(offsets[i] + a.size <= total);
            for (j, b) in buffers.iter().enumerate().skip(i + 1) {
                let apart = offsets[i] + a.size <= offsets[j] || offsets[j] + b.size <= offsets[i];
                assert!(apart || !a.meets(b), "{a:?} at {} meets {b:?}", offsets[i]);
            }
        }
        total
    }

    #[test]
    fn a_chain_needs_the_largest_pair() {
        let sizes = [100, 400, 300, 200, 8];
        let chain: Vec<Buffer> = sizes
            .iter()
            .enumerate()
            .map(|(i, &size)| Buffer {
                size,
                first: i.saturating_sub(1),
                last: i,
            })
            .collect();
        assert_eq!(check(&chain), 700);
    }

    #[test]
    fn random_lifetimes_never_overlap() {
        let mut state = 1_u32;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below
        };
        for _ in 0..200 {
            let buffers: Vec<Buffer> = (0..1 + next(24))
                .map(|_| {
                    let first = next(20);
                    Buffer {
                        size: 4 * (1 + next(64)),
                        first,
                        last: first + next(6),
                    }
                })
                .collect();
            check(&buffers);
        }
    }

    #[test]
    fn nothing_takes_nothing() {
        assert_eq!(place(&[]), (vec![], 0));
    }
}
