//! From floats to int8: scales for activations from calibration, per-channel weights.

mod calibrate;
mod weights;

use super::ir::{Function, Graph, Op, Origin, Quantization, TensorId};
pub(crate) use calibrate::{Range, calibrate};

/// Scale and zero point of an activation whose values were in `range` (numerics N4).
pub(crate) fn activation(range: Range) -> (f32, i32) {
    let (lo, hi) = (f64::from(range.lo.min(0.0)), f64::from(range.hi.max(0.0)));
    let scale = ((hi - lo) / 255.0) as f32;
    // Nothing but zeros, or a spread below what f32 can divide by.
    let scale = if scale < f32::MIN_POSITIVE {
        1.0
    } else {
        scale
    };
    let zero = (-128.0 - lo / f64::from(scale))
        .round_ties_even()
        .clamp(-128.0, 127.0);
    (scale, zero as i32)
}

/// Gives every activation its quantization, then quantizes weights and biases.
pub(crate) fn quantize(graph: &mut Graph, ranges: &[Option<Range>]) -> Result<(), String> {
    let calibrated = |id: TensorId, graph: &Graph| -> Result<Quantization, String> {
        let Some(range) = ranges.get(id.0).copied().flatten() else {
            return Err(format!(
                "tensor {} was not calibrated",
                graph.tensor(id).name
            ));
        };
        let (scale, zero) = activation(range);
        Ok(Quantization::per_tensor(scale, zero, Origin::Calibrated))
    };
    let inputs: Vec<TensorId> = graph.inputs.iter().map(|port| port.tensor).collect();
    for id in inputs {
        let quantization = calibrated(id, graph)?;
        graph.tensor_mut(id).quantization = Some(quantization);
    }
    for node_id in graph.order() {
        let Some(node) = graph.node(node_id) else {
            continue;
        };
        let (input, output) = (node.inputs[0], node.outputs[0]);
        let quantization = match &node.op {
            Op::MaxPool { .. } | Op::Reshape | Op::Transpose { .. } | Op::Pad { .. } => {
                graph.tensor(input).quantization.clone()
            }
            Op::Softmax | Op::Map(Function::Sigmoid) => {
                Some(Quantization::per_tensor(1.0 / 256.0, -128, Origin::Fixed))
            }
            Op::Map(Function::Tanh) => {
                Some(Quantization::per_tensor(1.0 / 128.0, 0, Origin::Fixed))
            }
            _ => None,
        };
        let quantization = match quantization {
            Some(quantization) => quantization,
            None => calibrated(output, graph)?,
        };
        if graph.tensor(output).quantization.is_none() {
            graph.tensor_mut(output).quantization = Some(quantization);
        }
    }
    for node_id in graph.order() {
        weights::quantize(graph, node_id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activation_scale_holds_zero_exactly() {
        assert_eq!(activation(Range { lo: 0.0, hi: 255.0 }), (1.0, -128));
        assert_eq!(
            activation(Range { lo: -1.0, hi: 0.0 }),
            ((1.0_f64 / 255.0) as f32, 127)
        );
        assert_eq!(activation(Range { lo: 3.0, hi: 51.0 }).1, -128);
        assert_eq!(activation(Range { lo: 0.0, hi: 0.0 }), (1.0, -128));
    }
}
