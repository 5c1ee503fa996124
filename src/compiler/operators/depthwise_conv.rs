//! Depthwise convolution: taps in order, all channels of a pixel at a time.

use tinsmith_build_job::Problem;

use super::elementwise;
use super::window;
use crate::ir::{Clamp, Filters, Layout, Op, Operands, Operator, Prepared, Window};

/// Inputs x, weights `[height, width, channel * multiplier]`, bias. Output channel `c` reads
/// input channel `c / multiplier`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DepthwiseConv {
    /// The window.
    pub window: Window,
    /// Output channels per input channel.
    pub multiplier: usize,
    /// Fused limits.
    pub clamp: Clamp,
}

impl DepthwiseConv {
    /// All channels of one output pixel.
    fn pixel(&self, pixel: &mut [f32], input: &[f32], row: &[f32]) {
        if self.multiplier == 1 {
            for ((sum, w), x) in pixel.iter_mut().zip(row).zip(input) {
                *sum += x * w;
            }
        } else {
            for (index, (sum, w)) in pixel.iter_mut().zip(row).enumerate() {
                *sum += input[index / self.multiplier] * w;
            }
        }
    }
}

impl Operator for DepthwiseConv {
    fn name(&self) -> &'static str {
        "depthwise_conv"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let (&[batch, h, w, c], &[_, out_h, out_w, out_c]) = (x.shape(0), x.output(0)) else {
            return;
        };
        let Some(pixels) = out.first_mut() else {
            return;
        };
        let (values, weights, bias) = (x.values(0), x.values(1), x.values(2));
        let window = self.window;
        let mut pixels = pixels.chunks_mut(out_c);
        for n in 0..batch {
            for y in 0..out_h {
                for column in 0..out_w {
                    let Some(pixel) = pixels.next() else { return };
                    pixel.copy_from_slice(bias);
                    for ky in 0..window.kernel[0] {
                        for kx in 0..window.kernel[1] {
                            let Some([iy, ix]) = window.tap([y, column], [ky, kx], [h, w]) else {
                                continue;
                            };
                            let at = ((n * h + iy) * w + ix) * c;
                            let row = &weights[(ky * window.kernel[1] + kx) * out_c..][..out_c];
                            self.pixel(pixel, &values[at..at + c], row);
                        }
                    }
                }
            }
        }
        elementwise::limit(self.clamp, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        let outputs = inputs.get(1).and_then(|w| w.last()).copied();
        window::shapes(&self.window, inputs, outputs.unwrap_or(0))
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::ChannelsLast)
    }

    fn macs(&self, _: &[&[usize]], outputs: &[&[usize]]) -> u64 {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let elements: usize = outputs.first().map_or(0, |y| y.iter().product());
        (elements * taps) as u64
    }

    fn clamp(&self) -> Option<Clamp> {
        Some(self.clamp)
    }

    fn with_clamp(&self, clamp: Clamp) -> Option<Op> {
        Some(Op::changed(self, |op| op.clamp = clamp))
    }

    fn with_padding(&self, before: [usize; 2], after: [usize; 2]) -> Option<Op> {
        let window = self.window.grown(before, after);
        Some(Op::changed(self, |op| op.window = window))
    }

    fn is_padded(&self) -> bool {
        self.window.is_padded()
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::OutputLast {
            multiplier: self.multiplier,
        })
    }
}
