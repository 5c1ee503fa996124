//! Weights and biases of convolutions and fully connected layers, per output channel
//! (numerics N4), with the proof that no sum overflows (N5).

use crate::ir::{DType, Data, Graph, NodeId, Op, Origin, Quantization, Role, Tensor};

const TWO_30: f64 = 1_073_741_824.0;
const TINY: f64 = 7.888_609_052_210_118e-31; // 2^-100

/// Which output channel each weight belongs to.
enum Order {
    /// Output channels are the first axis.
    First(usize),
    /// Output channels are the last axis, of this length.
    Last(usize),
}

impl Order {
    fn channel(&self, index: usize) -> usize {
        match self {
            Self::First(per_channel) => index / per_channel,
            Self::Last(channels) => index % channels,
        }
    }
}

/// Quantizes the constants of one node; others are left alone.
pub(super) fn quantize(graph: &mut Graph, id: NodeId) -> Result<(), String> {
    let Some(node) = graph.node(id) else {
        return Ok(());
    };
    let node = node.clone();
    let first = match node.op {
        Op::Conv { .. } | Op::FullyConnected { .. } => true,
        Op::DepthwiseConv { .. } => false,
        _ => return Ok(()),
    };
    let input = &graph.tensor(node.inputs[0]).quantization;
    let Some((&s_in, &z_in)) = input
        .as_ref()
        .and_then(|q| q.scale.first().zip(q.zero.first()))
    else {
        return Err(format!("{} has no quantized input", node.op.name()));
    };
    let (weights, bias) = (graph.tensor(node.inputs[1]), graph.tensor(node.inputs[2]));
    let (Some(w), Some(b)) = (weights.f32s(), bias.f32s()) else {
        return Err(format!("{} has no constant weights", node.op.name()));
    };
    let channels = b.len();
    let per_channel = w.len().checked_div(channels).unwrap_or(0).max(1);
    let order = if first {
        Order::First(per_channel)
    } else {
        Order::Last(channels)
    };
    let mut members: Vec<Vec<f32>> = vec![Vec::with_capacity(per_channel); channels];
    for (index, &value) in w.iter().enumerate() {
        members[order.channel(index)].push(value);
    }
    let (mut scales, mut biases) = (Vec::new(), Vec::new());
    let mut quantized = Vec::with_capacity(channels);
    for (values, &b) in members.iter().zip(b) {
        let channel = channel(values, b, s_in, z_in)
            .ok_or_else(|| format!("a channel of {} can't be kept from overflow", weights.name))?;
        scales.push(channel.scale);
        biases.push(channel.bias);
        quantized.push(channel.weights.into_iter());
    }
    let packed: Vec<i8> = (0..w.len())
        .filter_map(|i| quantized[order.channel(i)].next())
        .collect();
    let axis = if first { 0 } else { weights.shape.len() - 1 };
    let quantization = |axis, scale: Vec<f32>| {
        Some(Quantization {
            zero: vec![0; scale.len()],
            scale,
            axis: Some(axis),
            origin: Origin::Calibrated,
        })
    };
    let products = scales
        .iter()
        .map(|&s| (f64::from(s_in) * f64::from(s)) as f32)
        .collect();
    let new_weights = Tensor {
        dtype: DType::I8,
        quantization: quantization(axis, scales),
        role: Role::Constant(Data::I8(packed.into())),
        ..weights.clone()
    };
    let new_bias = Tensor {
        dtype: DType::I32,
        quantization: quantization(0, products),
        role: Role::Constant(Data::I32(biases.into())),
        ..bias.clone()
    };
    let mut node = node;
    graph.remove_node(id);
    node.inputs[1] = graph.add_tensor(new_weights);
    node.inputs[2] = graph.add_tensor(new_bias);
    graph.add_node(node);
    Ok(())
}

struct Channel {
    scale: f32,
    weights: Vec<i8>,
    bias: i32,
}

/// One output channel. The scale is raised until the sums provably fit 32 bits.
fn channel(values: &[f32], b: f32, s_in: f32, z_in: i32) -> Option<Channel> {
    let largest = values.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    let (b, s_in) = (f64::from(b), f64::from(s_in));
    let mut real = (f64::from(largest) / 127.0)
        .max(b.abs() / (s_in * TWO_30))
        .max(TINY);
    for _ in 0..64 {
        let scale = real as f32;
        let s = f64::from(scale);
        let quantized: Vec<i8> = values
            .iter()
            .map(|&w| (f64::from(w) / s).round_ties_even().clamp(-127.0, 127.0) as i8)
            .collect();
        let bias = (b / (s_in * s)).round_ties_even();
        if proven(&quantized, bias, z_in) {
            return Some(Channel {
                scale,
                weights: quantized,
                bias: bias as i32,
            });
        }
        real *= 2.0;
    }
    None
}

/// N5: whatever the input and the order of summation, no sum leaves 32 bits.
fn proven(weights: &[i8], bias: f64, z_in: i32) -> bool {
    if bias.abs() >= 2.0 * TWO_30 {
        return false;
    }
    let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
    let size: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
    let bias = bias as i64;
    let folded = bias - i64::from(z_in) * sum;
    folded.abs() + 128 * size < 1 << 31 && bias.abs() + 255 * size < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiny_weights_keep_their_bias() {
        let c = channel(&[1e-9, -1e-9], 0.5, 0.01, -128).unwrap();
        let back = f64::from(c.bias) * 0.01_f32 as f64 * f64::from(c.scale);
        assert!((back - 0.5).abs() < 1e-6, "{back}");
        assert!(c.bias.unsigned_abs() <= (1 << 30) + 128);
    }

    #[test]
    fn zero_channel_is_zero() {
        let c = channel(&[0.0; 8], 0.0, 1.0, 5).unwrap();
        assert_eq!((c.weights, c.bias), (vec![0; 8], 0));
    }

    #[test]
    fn long_channels_are_scaled_down_until_they_fit() {
        let weights = vec![1.0; 100_000];
        let c = channel(&weights, 0.0, 1.0, -128).unwrap();
        assert!(proven(&c.weights, f64::from(c.bias), -128));
        assert!(c.weights[0] < 127 && c.weights[0] > 20);
    }
}
