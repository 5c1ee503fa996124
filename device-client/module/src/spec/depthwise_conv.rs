//! Depthwise convolution (N5).

use super::{Layer, Tensor, rq, saturate, tap_x, tap_y};
use crate::plan::Window;

/// `acc = bq + sum((x - zi) * wq)`, padded taps contribute 0; weights are
/// `[kernel row][kernel column][output channel]`. `output` gives the shape.
pub fn depthwise_conv(
    input: &Tensor,
    window: &Window,
    layer: &Layer,
    mut output: Tensor,
) -> Tensor {
    let (kh, kw) = (window.kernel_height as usize, window.kernel_width as usize);
    let multiplier = output.channels / input.channels;
    for (y, x, o) in output.coordinates() {
        let mut acc = layer.bias[o];
        for ky in 0..kh {
            for kx in 0..kw {
                let taps =
                    tap_y(window, y, ky, input.height).zip(tap_x(window, x, kx, input.width));
                let Some((iy, ix)) = taps else { continue };
                let w = layer.weights[(ky * kw + kx) * output.channels + o];
                let x = input.at(iy, ix, o / multiplier);
                acc += (x - i64::from(layer.input_zero_point)) * i64::from(w);
            }
        }
        output.set(
            y,
            x,
            o,
            saturate(rq(acc, layer.multipliers[o]), &layer.clamp),
        );
    }
    output
}
