//! Going over the elements of operands of which the output may be one: a stretch of each input is
//! copied to the stack before the output is written.

use crate::plan::Span;
use crate::plan::operand::OperandRecord;

const STRETCH: usize = 64;

/// Applies `f(inputs, outputs)` to stretches of a tensor.
#[inline(always)]
pub(super) fn unary(
    memory: &mut [u8],
    input: &Span,
    output: &Span,
    mut f: impl FnMut(&[u8], &mut [u8]),
) {
    let mut stage = [0u8; STRETCH];
    for y in 0..output.height {
        let (from, to) = (input.row(y), output.row(y));
        let row = output.row_bytes();
        for at in (0..row).step_by(STRETCH) {
            let n = STRETCH.min(row - at);
            let stage = &mut stage[..n];
            stage.copy_from_slice(&memory[from + at..from + at + n]);
            f(stage, &mut memory[to + at..to + at + n]);
        }
    }
}

/// Applies `f(a, b, outputs)` to stretches of two tensors; `b` is repeated along the dimensions
/// of which it has one only.
#[inline(always)]
pub(super) fn binary(
    memory: &mut [u8],
    a: &Span,
    b: &OperandRecord<'_>,
    output: &Span,
    mut f: impl FnMut(&[u8], &[u8], &mut [u8]),
) {
    let mut stage_a = [0u8; STRETCH];
    let mut stage_b = [0u8; STRETCH];
    let row = output.row_bytes();
    let span_b = b.span();
    let whole_rows = span_b.row_bytes() == row;
    for y in 0..output.height {
        let (from_a, to) = (a.row(y), output.row(y));
        let from_b = span_b.row(if span_b.height == 1 { 0 } else { y });
        for at in (0..row).step_by(STRETCH) {
            let n = STRETCH.min(row - at);
            stage_a[..n].copy_from_slice(&memory[from_a + at..from_a + at + n]);
            let bytes = match *b {
                OperandRecord::Arena(_) => &*memory,
                OperandRecord::Const(bytes, _) => bytes,
            };
            if whole_rows {
                stage_b[..n].copy_from_slice(&bytes[from_b + at..from_b + at + n]);
            } else {
                for (i, staged) in stage_b[..n].iter_mut().enumerate() {
                    *staged = bytes[from_b + repeated(&span_b, output.channels, at + i)];
                }
            }
            f(
                &stage_a[..n],
                &stage_b[..n],
                &mut memory[to + at..to + at + n],
            );
        }
    }
}

/// Offset in a row of `b` that belongs to byte `i` of a row with `channels` channels.
fn repeated(b: &Span, channels: usize, i: usize) -> usize {
    let x = if b.width == 1 { 0 } else { i / channels };
    let c = if b.channels == 1 { 0 } else { i % channels };
    x * b.channels + c
}
