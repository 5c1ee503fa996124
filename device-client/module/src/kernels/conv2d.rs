//! Convolution: each output element's patch is one run of bytes where that is cheap (a pointwise
//! window lies in the input as one, a small patch is gathered on the stack), and else a run per
//! row of the window.

use core::ops::Range;

use super::dot::{dot, dot4, sum};
use super::fully_connected::matrix_vector;
use crate::arena::Arena;
use crate::plan::conv2d::Conv2dRecord;

/// Patches up to this many bytes are gathered.
const PATCH: usize = if cfg!(target_arch = "arm") { 256 } else { 1152 };

impl Conv2dRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.layer.input, &self.layer.output);
        conv2d(self, input, output, rows);
    }
}

/// Computes output rows `rows`; both slices begin at their span.
pub fn conv2d(op: &Conv2dRecord<'_>, input: &[u8], output: &mut [u8], rows: Range<usize>) {
    let pointwise = op.window.taps() == 1 && op.window.pad_top == 0 && op.window.pad_left == 0;
    let inside = (op.layer.output.height - 1) * (op.window.stride_y as usize)
        < op.layer.input.height
        && (op.layer.output.width - 1) * (op.window.stride_x as usize) < op.layer.input.width;
    if pointwise && inside {
        for y in rows {
            pointwise_row(op, input, output, y);
        }
    } else if op.window.taps() * op.layer.input.channels <= PATCH {
        gathered_rows(op, input, output, rows);
    } else {
        for y in rows {
            direct_row(op, input, output, y);
        }
    }
}

// Each way has a stack frame of its own.
#[inline(never)]
fn gathered_rows(op: &Conv2dRecord<'_>, input: &[u8], output: &mut [u8], rows: Range<usize>) {
    let mut patch = [0u8; PATCH];
    for y in rows {
        gathered_row(op, input, output, y, &mut patch);
    }
}

#[inline(never)]
fn pointwise_row(op: &Conv2dRecord<'_>, input: &[u8], output: &mut [u8], y: usize) {
    let row = op
        .layer
        .input
        .row_of(input, y * op.window.stride_y as usize);
    let elements = row
        .chunks_exact(op.layer.input.channels)
        .step_by(op.window.stride_x as usize);
    let outputs = op
        .layer
        .output
        .row_of_mut(output, y)
        .chunks_exact_mut(op.layer.output.channels);
    for (element, out) in elements.zip(outputs) {
        matrix_vector(
            element,
            op.layer.weights,
            &op.layer.channels,
            op.layer.clamp,
            out,
        );
    }
}

fn gathered_row(
    op: &Conv2dRecord<'_>,
    input: &[u8],
    output: &mut [u8],
    y: usize,
    patch: &mut [u8; PATCH],
) {
    let (rows, columns) = (op.window.rows(), op.window.columns());
    let depth = op.layer.input.channels;
    let line = columns.taps * depth;
    let patch = &mut patch[..rows.taps * line];
    let zero = op.layer.input_zero_point as u8;
    let top = rows.origin(y);
    let (first_row, end_row) = rows.valid(top, op.layer.input.height);
    patch[..first_row * line].fill(zero);
    patch[end_row * line..].fill(zero);
    let outputs = op
        .layer
        .output
        .row_of_mut(output, y)
        .chunks_exact_mut(op.layer.output.channels);
    for (x, out) in outputs.enumerate() {
        let left = columns.origin(x);
        let (first, end) = columns.valid(left, op.layer.input.width);
        let lines = patch.chunks_exact_mut(line).enumerate();
        for (ky, target) in lines.take(end_row).skip(first_row) {
            let row = op
                .layer
                .input
                .row_of(input, (top + (ky * rows.dilation) as isize) as usize);
            target[..first * depth].fill(zero);
            target[end * depth..].fill(zero);
            if columns.dilation == 1 {
                if end > first {
                    let at = (left + first as isize) as usize * depth;
                    let length = (end - first) * depth;
                    target[first * depth..end * depth].copy_from_slice(&row[at..at + length]);
                }
            } else {
                for kx in first..end {
                    let at = (left + (kx * columns.dilation) as isize) as usize * depth;
                    target[kx * depth..][..depth].copy_from_slice(&row[at..at + depth]);
                }
            }
        }
        matrix_vector(
            patch,
            op.layer.weights,
            &op.layer.channels,
            op.layer.clamp,
            out,
        );
    }
}

#[inline(never)]
fn direct_row(op: &Conv2dRecord<'_>, input: &[u8], output: &mut [u8], y: usize) {
    let columns = op.window.columns();
    let patch = op.window.taps() * op.layer.input.channels;
    let outputs = op
        .layer
        .output
        .row_of_mut(output, y)
        .chunks_exact_mut(op.layer.output.channels);
    for (x, out) in outputs.enumerate() {
        let left = columns.origin(x);
        let mut weights = op.layer.weights.chunks_exact(4 * patch);
        let (quads, rest_quads) = out.as_chunks_mut::<4>();
        let mut c = 0;
        for (quad, out) in (&mut weights).zip(quads) {
            let (low, high) = quad.split_at(2 * patch);
            let (w0, w1) = low.split_at(patch);
            let (w2, w3) = high.split_at(patch);
            let w = [w0, w1, w2, w3];
            let mut sums = op.layer.channels.biases(c);
            runs(op, input, y, left, |run, at| match run {
                Run::Input(x) => dot4(&mut sums, x, &w, at),
                Run::Padding(length) => {
                    for (s, w) in sums.iter_mut().zip(w) {
                        *s = s.wrapping_add(padding(op, &w[at..at + length]));
                    }
                }
            });
            op.layer.channels.requantize(c, &sums, op.layer.clamp, out);
            c += 4;
        }
        let rest = weights.remainder().chunks_exact(patch);
        for ((out, w), c) in rest_quads.iter_mut().zip(rest).zip(c..) {
            let mut acc = op.layer.channels.bias(c);
            runs(op, input, y, left, |run, at| {
                acc = acc.wrapping_add(match run {
                    Run::Input(x) => dot(x, &w[at..at + x.len()]),
                    Run::Padding(length) => padding(op, &w[at..at + length]),
                });
            });
            *out = op
                .layer
                .clamp
                .requantize(acc, op.layer.channels.multiplier(c));
        }
    }
}

/// What taps in the padding add, since the folded bias takes them for the zero point.
fn padding(op: &Conv2dRecord<'_>, weights: &[u8]) -> i32 {
    i32::from(op.layer.input_zero_point).wrapping_mul(sum(weights))
}

enum Run<'a> {
    Input(&'a [u8]),
    Padding(usize),
}

/// The patch of the output element with the left edge `left` in row `y`, as runs with their
/// offset in the weights of a channel.
#[inline(always)]
fn runs<'a>(
    op: &Conv2dRecord<'_>,
    input: &'a [u8],
    y: usize,
    left: isize,
    mut each: impl FnMut(Run<'a>, usize),
) {
    let (rows, columns) = (op.window.rows(), op.window.columns());
    let depth = op.layer.input.channels;
    let line = columns.taps * depth;
    let top = rows.origin(y);
    let (first_row, end_row) = rows.valid(top, op.layer.input.height);
    let (first, end) = columns.valid(left, op.layer.input.width);
    if first_row > 0 {
        each(Run::Padding(first_row * line), 0);
    }
    for ky in first_row..end_row {
        let row = op
            .layer
            .input
            .row_of(input, (top + (ky * rows.dilation) as isize) as usize);
        let at = ky * line;
        if first > 0 {
            each(Run::Padding(first * depth), at);
        }
        if columns.dilation == 1 {
            if end > first {
                let start = (left + first as isize) as usize * depth;
                each(
                    Run::Input(&row[start..start + (end - first) * depth]),
                    at + first * depth,
                );
            }
        } else {
            for kx in first..end {
                let start = (left + (kx * columns.dilation) as isize) as usize * depth;
                each(Run::Input(&row[start..start + depth]), at + kx * depth);
            }
        }
        if end < columns.taps {
            each(Run::Padding((columns.taps - end) * depth), at + end * depth);
        }
    }
    if end_row < rows.taps {
        each(Run::Padding((rows.taps - end_row) * line), end_row * line);
    }
}
