//! Transposition.

pub(crate) fn run<T: Copy>(perm: &[usize], x: &[T], shape: &[usize], out: &mut [T]) {
    let rank = perm.len();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    for (index, out) in out.iter_mut().enumerate() {
        let (mut rest, mut at) = (index, 0);
        for axis in (0..rank).rev() {
            let extent = shape[perm[axis]];
            at += (rest % extent) * strides[perm[axis]];
            rest /= extent;
        }
        *out = x[at];
    }
}
