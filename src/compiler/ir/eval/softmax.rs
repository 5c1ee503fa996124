//! Softmax along the last axis.

pub(super) fn run(x: &[f32], shape: &[usize], out: &mut [f32]) {
    let last = shape.last().copied().unwrap_or(1).max(1);
    for (x, out) in x.chunks(last).zip(out.chunks_mut(last)) {
        let top = x
            .iter()
            .fold(f32::NEG_INFINITY, |top, &v| if v > top { v } else { top });
        let mut sum = 0.0_f32;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = libm::expf(x - top);
            sum += *out;
        }
        for out in out {
            *out /= sum;
        }
    }
}
