//! Padding with a constant (N7).

use super::Tensor;

/// The input at `[top, left, front]` in an output full of `value`.
pub fn pad(
    input: &Tensor,
    [top, left, front]: [usize; 3],
    value: i8,
    mut output: Tensor,
) -> Tensor {
    output.data.fill(value);
    for (y, x, c) in input.coordinates() {
        output.set(top + y, left + x, front + c, input.at(y, x, c) as i8);
    }
    output
}
