//! Pools.

use super::conv::tap;
use crate::ir::Window;

fn walk(
    window: &Window,
    x: &[f32],
    shape: &[usize],
    out: &mut [f32],
    out_shape: &[usize],
    mut pixel: impl FnMut(&mut [f32], &[&[f32]]),
) {
    let (&[batch, h, w, c], &[_, out_h, out_w, out_c]) = (shape, out_shape) else {
        return;
    };
    let mut pixels = out.chunks_mut(out_c);
    let mut valid: Vec<&[f32]> = Vec::new();
    for n in 0..batch {
        for y in 0..out_h {
            for column in 0..out_w {
                valid.clear();
                for ky in 0..window.kernel[0] {
                    for kx in 0..window.kernel[1] {
                        if let Some([iy, ix]) = tap(window, [y, column], [ky, kx], [h, w]) {
                            let at = ((n * h + iy) * w + ix) * c;
                            valid.push(&x[at..at + c]);
                        }
                    }
                }
                if let Some(out) = pixels.next() {
                    pixel(out, &valid);
                }
            }
        }
    }
}

pub(super) fn max(
    window: &Window,
    x: &[f32],
    shape: &[usize],
    out: &mut [f32],
    out_shape: &[usize],
) {
    walk(window, x, shape, out, out_shape, |out, valid| {
        out.fill(f32::NEG_INFINITY);
        for run in valid {
            for (out, &x) in out.iter_mut().zip(*run) {
                if x > *out {
                    *out = x;
                }
            }
        }
    });
}

pub(super) fn average(
    window: &Window,
    include_pad: bool,
    x: &[f32],
    shape: &[usize],
    out: &mut [f32],
    out_shape: &[usize],
) {
    let full = window.kernel[0] * window.kernel[1];
    walk(window, x, shape, out, out_shape, |out, valid| {
        for run in valid {
            for (out, x) in out.iter_mut().zip(*run) {
                *out += x;
            }
        }
        let count = if include_pad { full } else { valid.len() };
        for out in out {
            *out /= count as f32;
        }
    });
}
