//! Depthwise convolution: a block of channels at a time, so that the sums of a block stay in
//! registers.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::depthwise_conv::DepthwiseConvRecord;

/// Channels per block: what fits the registers of a Cortex-M, and a few vectors elsewhere.
const BLOCK: usize = if cfg!(target_arch = "arm") { 4 } else { 16 };

impl DepthwiseConvRecord<'_> {
    #[inline(never)]
    pub(crate) fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) {
        let (input, output) = arena.split(&self.layer.input, &self.layer.output);
        depthwise_conv(self, input, output, rows);
    }
}

/// Computes output rows `rows`; both slices begin at their span.
pub fn depthwise_conv(
    op: &DepthwiseConvRecord<'_>,
    input: &[u8],
    output: &mut [u8],
    rows: Range<usize>,
) {
    let columns = op.window.columns();
    for y in rows {
        let row = op.layer.output.row_of_mut(output, y);
        for (x, out) in row.chunks_exact_mut(op.layer.output.channels).enumerate() {
            let left = columns.origin(x);
            let mut blocks = out.chunks_exact_mut(BLOCK);
            let mut c = 0;
            for block in &mut blocks {
                if let Some(block) = block.first_chunk_mut::<BLOCK>() {
                    whole_block(op, input, y, left, c, block);
                }
                c += BLOCK;
            }
            for (out, c) in blocks.into_remainder().iter_mut().zip(c..) {
                *out = one_channel(op, input, y, left, c);
            }
        }
    }
}

/// The taps of a window: index, and the input element or `None` in the padding.
#[inline(always)]
fn taps<'a>(
    op: &DepthwiseConvRecord<'_>,
    input: &'a [u8],
    y: usize,
    left: isize,
    mut each: impl FnMut(usize, Option<&'a [u8]>),
) {
    let (rows, columns) = (op.window.rows(), op.window.columns());
    let depth = op.layer.input.channels;
    let top = rows.origin(y);
    let (first_row, end_row) = rows.valid(top, op.layer.input.height);
    let (first, end) = columns.valid(left, op.layer.input.width);
    for ky in 0..rows.taps {
        if ky < first_row || ky >= end_row {
            for kx in 0..columns.taps {
                each(ky * columns.taps + kx, None);
            }
            continue;
        }
        let row = op
            .layer
            .input
            .row_of(input, (top + (ky * rows.dilation) as isize) as usize);
        for kx in 0..columns.taps {
            let tap = ky * columns.taps + kx;
            if kx < first || kx >= end {
                each(tap, None);
            } else {
                let at = (left + (kx * columns.dilation) as isize) as usize * depth;
                each(tap, Some(&row[at..at + depth]));
            }
        }
    }
}

fn whole_block(
    op: &DepthwiseConvRecord<'_>,
    input: &[u8],
    y: usize,
    left: isize,
    c: usize,
    out: &mut [u8; BLOCK],
) {
    let (rows, columns) = (op.window.rows(), op.window.columns());
    let (depth, out_depth) = (op.layer.input.channels, op.layer.output.channels);
    let multiplier = op.multiplier();
    let top = rows.origin(y);
    let (first_row, end_row) = rows.valid(top, op.layer.input.height);
    let (first, end) = columns.valid(left, op.layer.input.width);
    let mut sums: [i32; BLOCK] = op.layer.channels.biases(c);
    let padding = [op.layer.input_zero_point as u8; BLOCK];
    for ky in 0..rows.taps {
        let line = &op.layer.weights[ky * columns.taps * out_depth..][..columns.taps * out_depth];
        let taps = line.chunks_exact(out_depth);
        if ky < first_row || ky >= end_row {
            for w in taps {
                multiply_add(&mut sums, &padding, block(w, c));
            }
            continue;
        }
        let row = op
            .layer
            .input
            .row_of(input, (top + (ky * rows.dilation) as isize) as usize);
        for (kx, w) in taps.enumerate() {
            let w = block(w, c);
            if kx < first || kx >= end {
                multiply_add(&mut sums, &padding, w);
                continue;
            }
            let at = (left + (kx * columns.dilation) as isize) as usize * depth;
            if multiplier == 1 {
                multiply_add(&mut sums, block(row, at + c), w);
            } else {
                let element = &row[at..at + depth];
                let x = core::array::from_fn(|i| element[(c + i) / multiplier]);
                multiply_add(&mut sums, &x, w);
            }
        }
    }
    op.layer.channels.requantize(c, &sums, op.layer.clamp, out);
}

#[inline(always)]
fn block(bytes: &[u8], at: usize) -> &[u8; BLOCK] {
    bytes[at..].first_chunk().unwrap_or(&[0; BLOCK])
}

#[inline(always)]
fn multiply_add(sums: &mut [i32; BLOCK], x: &[u8; BLOCK], w: &[u8; BLOCK]) {
    for i in 0..BLOCK {
        let product = i16::from(x[i] as i8).wrapping_mul(i16::from(w[i] as i8));
        sums[i] = sums[i].wrapping_add(i32::from(product));
    }
}

fn one_channel(op: &DepthwiseConvRecord<'_>, input: &[u8], y: usize, left: isize, c: usize) -> u8 {
    let depth = op.layer.output.channels;
    let source = c / op.multiplier();
    let mut sum = op.layer.channels.bias(c);
    taps(op, input, y, left, |tap, element| {
        let x = element.map_or(op.layer.input_zero_point, |e| e[source] as i8);
        let w = op.layer.weights[tap * depth + c] as i8;
        sum = sum.wrapping_add(i32::from(x) * i32::from(w));
    });
    op.layer
        .clamp
        .requantize(sum, op.layer.channels.multiplier(c))
}
