//! Going over the elements of operands of which the output may be one: a stretch of each input is
//! copied to the stack before the output is written.

use core::ops::Range;

use crate::arena::Arena;
use crate::plan::Span;
use crate::plan::operand::OperandRecord;

const STRETCH: usize = 64;

/// Applies `f(inputs, outputs)` to stretches of rows.
#[inline(always)]
pub(super) fn unary(
    arena: &mut Arena<'_>,
    (input, output): (&Span, &Span),
    rows: Range<usize>,
    mut f: impl FnMut(&[u8], &mut [u8]),
) {
    let mut stage = [0u8; STRETCH];
    for y in rows {
        let (from, to) = (input.row(y), output.row(y));
        let row = output.row_bytes();
        for at in (0..row).step_by(STRETCH) {
            let n = STRETCH.min(row - at);
            let stage = &mut stage[..n];
            stage.copy_from_slice(&arena.segment(input.segment)[from + at..from + at + n]);
            let place = &mut arena.segment_mut(output.segment)[to + at..to + at + n];
            f(stage, place);
        }
    }
}

/// Applies `f(a, b, outputs)` to stretches of rows; `b` is repeated along the dimensions of which
/// it has one only.
#[inline(always)]
pub(super) fn binary(
    arena: &mut Arena<'_>,
    (a, b, output): (&Span, &OperandRecord<'_>, &Span),
    rows: Range<usize>,
    mut f: impl FnMut(&[u8], &[u8], &mut [u8]),
) {
    let mut stage_a = [0u8; STRETCH];
    let mut stage_b = [0u8; STRETCH];
    let row = output.row_bytes();
    let span_b = b.span();
    let whole_rows = span_b.row_bytes() == row;
    for y in rows {
        let (from_a, to) = (a.row(y), output.row(y));
        let from_b = span_b.row(if span_b.height == 1 { 0 } else { y });
        for at in (0..row).step_by(STRETCH) {
            let n = STRETCH.min(row - at);
            let from_a = from_a + at;
            stage_a[..n].copy_from_slice(&arena.segment(a.segment)[from_a..from_a + n]);
            let bytes = match *b {
                OperandRecord::Arena(_) => arena.segment(span_b.segment),
                OperandRecord::Const(bytes, _) => bytes,
            };
            if whole_rows {
                stage_b[..n].copy_from_slice(&bytes[from_b + at..from_b + at + n]);
            } else {
                for (i, staged) in stage_b[..n].iter_mut().enumerate() {
                    *staged = bytes[from_b + repeated(&span_b, output.channels, at + i)];
                }
            }
            let place = &mut arena.segment_mut(output.segment)[to + at..to + at + n];
            f(&stage_a[..n], &stage_b[..n], place);
        }
    }
}

/// Offset in a row of `b` that belongs to byte `i` of a row with `channels` channels.
fn repeated(b: &Span, channels: usize, i: usize) -> usize {
    let x = if b.width == 1 { 0 } else { i / channels };
    let c = if b.channels == 1 { 0 } else { i % channels };
    x * b.channels + c
}
