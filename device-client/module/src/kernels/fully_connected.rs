//! Fully connected layer: the input against four rows of weights at a time.

use core::ops::Range;

use super::dot::{dot, dot4_rows};
use crate::arena::Arena;
use crate::plan::fully_connected::FullyConnectedRecord;
use crate::plan::{Channels, Clamp};

impl FullyConnectedRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        // The only row is the whole result.
        if rows.is_empty() {
            return;
        }
        let layer = &self.layer;
        let (input, output) = arena.split(&layer.input, &layer.output);
        let input = &input[..layer.input.bytes()];
        let output = &mut output[..layer.output.channels];
        matrix_vector(input, layer.weights, &layer.channels, layer.clamp, output);
    }
}

/// Each output channel's sum over one run of input, requantized.
pub(crate) fn matrix_vector(
    input: &[u8],
    weights: &[u8],
    channels: &Channels<'_>,
    clamp: Clamp,
    output: &mut [u8],
) {
    let n = input.len();
    let mut quads = weights.chunks_exact(4 * n);
    let (outputs, rest_outputs) = output.as_chunks_mut::<4>();
    let mut c = 0;
    for (quad, out) in (&mut quads).zip(outputs) {
        let (low, high) = quad.split_at(2 * n);
        let (w0, w1) = low.split_at(n);
        let (w2, w3) = high.split_at(n);
        let mut sums = channels.biases(c);
        dot4_rows(&mut sums, input, &[w0, w1, w2, w3]);
        channels.requantize(c, &sums, clamp, out);
        c += 4;
    }
    let rest = quads.remainder().chunks_exact(n);
    for ((out, row), c) in rest_outputs.iter_mut().zip(rest).zip(c..) {
        let sum = channels.bias(c).wrapping_add(dot(input, row));
        *out = clamp.requantize(sum, channels.multiplier(c));
    }
}
