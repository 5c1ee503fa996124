//! Fully connected layer (N5).

use super::{Layer, Tensor, rq, saturate};

/// `acc = bq + sum((x - zi) * wq)`; weights are `[output channel][input element]`.
pub fn fully_connected(input: &Tensor, layer: &Layer, mut output: Tensor) -> Tensor {
    let n = input.data.len();
    for o in 0..output.channels {
        let mut acc = layer.bias[o];
        for (i, &x) in input.data.iter().enumerate() {
            let difference = i64::from(x) - i64::from(layer.input_zero_point);
            acc += difference * i64::from(layer.weights[o * n + i]);
        }
        output.set(
            0,
            0,
            o,
            saturate(rq(acc, layer.multipliers[o]), &layer.clamp),
        );
    }
    output
}
