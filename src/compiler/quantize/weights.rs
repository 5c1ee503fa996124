//! Weights and biases of convolutions and fully connected layers, per output channel
//! (numerics N4), with the proof that no sum overflows (N5).

use crate::ir::{DType, Data, Graph, NodeId, Origin, Quantization, Role, Tensor};

const TWO_30: f64 = 1_073_741_824.0;
const TINY: f64 = 7.888_609_052_210_118e-31; // 2^-100

/// Quantizes the constants of one node; others are left alone.
pub(super) fn quantize(graph: &mut Graph, id: NodeId) -> Result<(), String> {
    let Some(node) = graph.node(id) else {
        return Ok(());
    };
    let Some(filters) = node.op.filters() else {
        return Ok(());
    };
    let mut node = node.clone();
    let name = node.op.name();
    let &[x, w_id, b_id] = node.inputs.as_slice() else {
        return Err(format!("{name} has no weights"));
    };
    let input = graph.tensor(x).quantization.as_ref();
    let Some((s_in, z_in)) = input.and_then(Quantization::single) else {
        return Err(format!("{name} has no quantized input"));
    };
    let (weights, bias) = (graph.tensor(w_id), graph.tensor(b_id));
    let Some(b) = bias.f32s() else {
        return Err(format!("{name} has no constant bias"));
    };
    let channels = b.len();
    let axis = filters.axis(weights.shape.len());
    let order: Vec<usize> = (0..weights.elements())
        .map(|index| filters.output(&weights.shape, index))
        .collect();
    let quantized = if weights.is_imported() {
        imported(weights, b, &order, s_in, z_in)?
    } else {
        measured(weights, b, &order, s_in, z_in)?
    };
    let per_channel = |axis, scale: Vec<f32>, origin| {
        Some(Quantization {
            zero: vec![0; scale.len()],
            scale,
            axis: Some(axis),
            origin,
        })
    };
    let origin = match weights.is_imported() {
        true => Origin::Imported,
        false => Origin::Calibrated,
    };
    let (mut scales, mut biases) = (Vec::new(), Vec::new());
    let mut values: Vec<std::vec::IntoIter<i8>> = Vec::with_capacity(channels);
    for channel in quantized {
        scales.push(channel.scale);
        biases.push(channel.bias);
        values.push(channel.weights.into_iter());
    }
    let packed: Vec<i8> = order
        .iter()
        .filter_map(|&channel| values.get_mut(channel)?.next())
        .collect();
    let products = scales
        .iter()
        .map(|&s| (f64::from(s_in) * f64::from(s)) as f32)
        .collect();
    let new_weights = Tensor {
        // Weights of 4 bits too: no backend has kernels for two to a byte.
        dtype: DType::I8,
        quantization: per_channel(axis, scales, origin),
        role: Role::Constant(Data::I8(packed.into())),
        ..weights.clone()
    };
    let new_bias = Tensor {
        dtype: DType::I32,
        quantization: per_channel(0, products, origin),
        role: Role::Constant(Data::I32(biases.into())),
        ..bias.clone()
    };
    graph.remove_node(id);
    node.inputs = vec![x, graph.add_tensor(new_weights), graph.add_tensor(new_bias)];
    graph.add_node(node);
    Ok(())
}

fn by_channel<T: Copy>(weights: &[T], order: &[usize], channels: usize) -> Vec<Vec<T>> {
    let mut members = vec![Vec::new(); channels];
    for (&value, &channel) in weights.iter().zip(order) {
        if let Some(members) = members.get_mut(channel) {
            members.push(value);
        }
    }
    members
}

/// Weights that the file brought quantized: values and scales stay, the bias follows.
fn imported(
    weights: &Tensor,
    bias: &[f32],
    order: &[usize],
    s_in: f32,
    z_in: i32,
) -> Result<Vec<Channel>, String> {
    let (Some(Data::I8(stored)), Some(q)) = (weights.data(), &weights.quantization) else {
        return Err(format!(
            "{} are not integers of 8 bits or less",
            weights.name
        ));
    };
    if q.zero.iter().any(|&zero| zero != 0) {
        return Err(format!("{} have a zero point other than 0", weights.name));
    }
    let mut channels: Vec<Channel> = Vec::with_capacity(bias.len());
    let members = by_channel(stored, order, bias.len());
    for (index, (weights_of, &b)) in members.into_iter().zip(bias).enumerate() {
        let scale = q.scale.get(index).or(q.scale.first()).copied();
        let scale = scale.filter(|s| *s > 0.0);
        let scale = scale.ok_or_else(|| format!("{} have no scale", weights.name))?;
        let real = f64::from(b) / (f64::from(s_in) * f64::from(scale));
        let bias = real.round_ties_even();
        if !proven(&weights_of, bias, z_in) {
            return Err(format!("a sum of {} may overflow", weights.name));
        }
        channels.push(Channel {
            scale,
            weights: weights_of,
            bias: bias as i32,
        });
    }
    Ok(channels)
}

/// Weights in floats: a scale for each output channel.
fn measured(
    weights: &Tensor,
    bias: &[f32],
    order: &[usize],
    s_in: f32,
    z_in: i32,
) -> Result<Vec<Channel>, String> {
    let Some(w) = weights.f32s() else {
        return Err(format!("{} are not constant", weights.name));
    };
    by_channel(w, order, bias.len())
        .iter()
        .zip(bias)
        .map(|(values, &b)| {
            channel(values, b, s_in, z_in)
                .ok_or_else(|| format!("a channel of {} can't be kept from overflow", weights.name))
        })
        .collect()
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
