//! Concatenation.

use super::Tensor;
use crate::plan::Axis;

/// The inputs one after the other along an axis. `output` gives the shape.
pub fn concat(inputs: &[Tensor], axis: Axis, mut output: Tensor) -> Tensor {
    let mut before = 0;
    for input in inputs {
        for (y, x, c) in input.coordinates() {
            let value = input.at(y, x, c) as i8;
            match axis {
                Axis::Height => output.set(before + y, x, c, value),
                Axis::Width => output.set(y, before + x, c, value),
                Axis::Channels => output.set(y, x, before + c, value),
            }
        }
        before += match axis {
            Axis::Height => input.height,
            Axis::Width => input.width,
            Axis::Channels => input.channels,
        };
    }
    output
}
