//! Convolution (N5).

use super::{Tensor, rq, saturate, tap_x, tap_y};
use crate::numerics::Multiplier;
use crate::plan::{Clamp, Window};

/// Weights, bias and requantization of a convolution or fully connected layer, not folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `wq`, in the order that the operator says.
    pub weights: Vec<i8>,
    /// `bq`, one per output channel.
    pub bias: Vec<i64>,
    /// One per output channel.
    pub multipliers: Vec<Multiplier>,
    /// `zi`.
    pub input_zero_point: i8,
    /// Zero point and range of the output.
    pub clamp: Clamp,
}

/// `acc = bq + sum((x - zi) * wq)`, padded taps contribute 0; weights are
/// `[output channel][kernel row][kernel column][input channel]`. `output` gives the shape.
pub fn conv2d(input: &Tensor, window: &Window, layer: &Layer, mut output: Tensor) -> Tensor {
    let (kh, kw) = (window.kernel_height as usize, window.kernel_width as usize);
    for (y, x, o) in output.coordinates() {
        let mut acc = layer.bias[o];
        for ky in 0..kh {
            for kx in 0..kw {
                let taps =
                    tap_y(window, y, ky, input.height).zip(tap_x(window, x, kx, input.width));
                let Some((iy, ix)) = taps else { continue };
                for i in 0..input.channels {
                    let w = layer.weights[((o * kh + ky) * kw + kx) * input.channels + i];
                    acc += (input.at(iy, ix, i) - i64::from(layer.input_zero_point)) * i64::from(w);
                }
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
