//! Conv, 1-D and 2-D: dense (group 1) or depthwise (group = input channels).

use super::{Importer, NodeView, window};
use crate::ir::{Clamp, Op};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
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
    let known = cx.known_shape(node)?;
    let spatial: Vec<usize> = cx.shape(x)[2..].to_vec();
    let window = window::read(
        node,
        &spatial,
        &shape[2..],
        known.as_deref().map(|k| &k[2..]),
    )?;
    let [batch, h, w, _] = *cx.shape(input) else {
        return Err(Problem::Shapes {
            detail: "not a tensor of rank 4".into(),
        });
    };
    let [out_h, out_w] = window::output(&window, [h, w])?;
    let output = vec![batch, out_h, out_w, outputs];
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
        let op = Op::DepthwiseConv {
            window,
            multiplier: outputs / channels,
            clamp,
        };
        cx.emit(op, vec![input, w, b], output)
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
        cx.emit(Op::Conv { window, clamp }, vec![input, w, b], output)
    } else {
        let what = format!(
            "{group} groups over {channels} channels; use group 1 or depthwise (group = channels)"
        );
        return Err(Problem::Unsupported { what });
    };
    let y = cx.onnx_order(y, rank);
    cx.bind(node, y)
}
