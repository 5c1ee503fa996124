//! Depthwise convolution: taps in order, all channels of a pixel at a time.

use super::conv::tap;
use crate::ir::Window;

pub(super) fn run(
    window: &Window,
    multiplier: usize,
    weights: &[f32],
    bias: &[f32],
    (x, shape, out_shape): (&[f32], &[usize], &[usize]),
    out: &mut [f32],
) {
    let (&[batch, h, w, c], &[_, out_h, out_w, out_c]) = (shape, out_shape) else {
        return;
    };
    let mut pixels = out.chunks_mut(out_c);
    for n in 0..batch {
        for y in 0..out_h {
            for column in 0..out_w {
                let Some(pixel) = pixels.next() else { return };
                pixel.copy_from_slice(bias);
                for ky in 0..window.kernel[0] {
                    for kx in 0..window.kernel[1] {
                        let Some([iy, ix]) = tap(window, [y, column], [ky, kx], [h, w]) else {
                            continue;
                        };
                        let at = ((n * h + iy) * w + ix) * c;
                        let input = &x[at..at + c];
                        let row = &weights[(ky * window.kernel[1] + kx) * out_c..][..out_c];
                        if multiplier == 1 {
                            for ((sum, w), x) in pixel.iter_mut().zip(row).zip(input) {
                                *sum += x * w;
                            }
                        } else {
                            for (index, (sum, w)) in pixel.iter_mut().zip(row).enumerate() {
                                *sum += input[index / multiplier] * w;
                            }
                        }
                    }
                }
            }
        }
    }
}
