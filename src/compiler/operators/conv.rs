//! Conv, 1-D and 2-D: dense (group 1) or depthwise (group = input channels).

use tinsmith_build_job::Problem;

use super::depthwise_conv::DepthwiseConv;
use super::elementwise;
use super::packed::Packed;
use super::window;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Clamp, Filters, Layout, Op, Operands, Operator, Prepared, Window};

pub(super) const ONNX: &[OnnxOperator] = &[known("Conv", 2..=3, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let rank = cx.shape(x).len();
    let input = cx.channels_last(x)?;
    let channels = cx.shape(input)[3];
    let (weights, shape) = cx.floats(node, 1, "weights")?;
    if shape.len() != rank || shape.contains(&0) {
        let detail = format!("weights {shape:?} for an input of rank {rank}");
        return Err(Problem::Shapes { detail });
    }
    let (outputs, per_group) = (shape[0], shape[1]);
    let taps: usize = shape[2..].iter().product();
    if let Some(kernel) = node.ints("kernel_shape")
        && !kernel
            .iter()
            .zip(&shape[2..])
            .all(|(&a, &b)| usize::try_from(a) == Ok(b))
    {
        let detail = format!("kernel_shape {kernel:?} but weights {shape:?}");
        return Err(Problem::Shapes { detail });
    }
    let bias = if node.input(2).is_empty() {
        vec![0.0; outputs]
    } else {
        cx.floats(node, 2, "bias")?.0
    };
    let group = usize::try_from(node.int("group", 1)).unwrap_or(1);
    if bias.len() != outputs || per_group * group != channels || outputs % group != 0 {
        let detail = format!(
            "weights {shape:?}, {} biases and {group} groups for {channels} channels",
            bias.len()
        );
        return Err(Problem::Shapes { detail });
    }
    let spatial: Vec<usize> = cx.shape(x)[2..].to_vec();
    let window = window::read(node, &spatial, &shape[2..])?;
    let [rows, columns] = window.kernel;
    let clamp = Clamp::NONE;
    let y = if group == channels && per_group == 1 && (group > 1 || outputs == 1) {
        let mut packed = vec![0.0; weights.len()];
        for channel in 0..outputs {
            for tap in 0..taps {
                packed[tap * outputs + channel] = weights[channel * taps + tap];
            }
        }
        let w = cx.constant("weights", vec![rows, columns, outputs], packed);
        let b = cx.constant("bias", vec![outputs], bias);
        let op = DepthwiseConv {
            window,
            multiplier: outputs / channels,
            clamp,
        };
        cx.emit(op, vec![input, w, b])?
    } else if group == 1 {
        let mut packed = vec![0.0; weights.len()];
        for out in 0..outputs {
            for channel in 0..channels {
                for tap in 0..taps {
                    packed[(out * taps + tap) * channels + channel] =
                        weights[(out * channels + channel) * taps + tap];
                }
            }
        }
        let w = cx.constant("weights", vec![outputs, rows, columns, channels], packed);
        let b = cx.constant("bias", vec![outputs], bias);
        cx.emit(Conv { window, clamp }, vec![input, w, b])?
    } else {
        let what = format!(
            "{group} groups over {channels} channels; use group 1 or depthwise (group = channels)"
        );
        return Err(Problem::Unsupported { what });
    };
    let y = cx.onnx_order(y, rank)?;
    cx.bind(node, y)
}

/// Inputs x, weights `[out, height, width, in]`, bias `[out]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conv {
    /// The window.
    pub window: Window,
    /// Fused limits.
    pub clamp: Clamp,
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn prepare(&self, x: &Operands<'_>) -> Prepared {
        let outputs = x.shape(1).first().copied().unwrap_or(0);
        Box::new(Packed::new(x.values(1), x.values(2), outputs))
    }

    fn evaluate(&self, prepared: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let (Some(packed), &[batch, h, w, c], &[_, out_h, out_w, out_c]) =
            (prepared.downcast_ref::<Packed>(), x.shape(0), x.output(0))
        else {
            return;
        };
        let Some(pixels) = out.first_mut() else {
            return;
        };
        let (window, values) = (self.window, x.values(0));
        let taps = window.kernel[0] * window.kernel[1];
        let mut runs: Vec<&[f32]> = Vec::with_capacity(taps);
        let mut pixels = pixels.chunks_mut(out_c);
        for n in 0..batch {
            for y in 0..out_h {
                for column in 0..out_w {
                    runs.clear();
                    for ky in 0..window.kernel[0] {
                        for kx in 0..window.kernel[1] {
                            runs.push(match window.tap([y, column], [ky, kx], [h, w]) {
                                Some([iy, ix]) => {
                                    let at = ((n * h + iy) * w + ix) * c;
                                    &values[at..at + c]
                                }
                                None => &[],
                            });
                        }
                    }
                    if let Some(pixel) = pixels.next() {
                        packed.pixel(&runs, pixel);
                    }
                }
            }
        }
        elementwise::limit(self.clamp, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        let outputs = inputs.get(1).and_then(|w| w.first()).copied();
        window::shapes(&self.window, inputs, outputs.unwrap_or(0))
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::ChannelsLast)
    }

    fn macs(&self, inputs: &[&[usize]], outputs: &[&[usize]]) -> u64 {
        let per_output: usize = inputs.get(1).map_or(0, |w| w.iter().skip(1).product());
        let elements: usize = outputs.first().map_or(0, |y| y.iter().product());
        (elements * per_output) as u64
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
        Some(Filters::OutputFirst)
    }
}
