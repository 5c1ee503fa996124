//! Padding with a constant.

pub(super) fn run(
    before: &[usize],
    value: f32,
    x: &[f32],
    shape: &[usize],
    out: &mut [f32],
    out_shape: &[usize],
) {
    out.fill(value);
    let rank = shape.len();
    let run = shape.last().copied().unwrap_or(1).max(1);
    for (row, source) in x.chunks(run).enumerate() {
        let mut rest = row;
        let mut at = before.last().copied().unwrap_or(0);
        let mut stride = out_shape.last().copied().unwrap_or(1);
        for axis in (0..rank.saturating_sub(1)).rev() {
            at += (rest % shape[axis] + before[axis]) * stride;
            rest /= shape[axis];
            stride *= out_shape[axis];
        }
        out[at..at + source.len()].copy_from_slice(source);
    }
}
