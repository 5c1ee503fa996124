//! Copy between two orders of elements.

use super::Tensor;

/// Element `(a, b, c, d)` of the output is the input's at `start` plus the index times the strides.
pub fn copy(
    input: &Tensor,
    shape: [usize; 4],
    start: usize,
    strides: [usize; 4],
    mut output: Tensor,
) -> Tensor {
    for (i, value) in output.data.iter_mut().enumerate() {
        let mut rest = i;
        let mut from = start;
        for axis in (0..4).rev() {
            from += rest % shape[axis] * strides[axis];
            rest /= shape[axis];
        }
        *value = input.data[from];
    }
    output
}
