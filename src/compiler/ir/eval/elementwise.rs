//! Operations that treat every element alike.

use crate::ir::{Clamp, Function};

pub(super) fn clamp(clamp: &Clamp, out: &mut [f32]) {
    if !clamp.is_none() {
        for value in out {
            *value = clamp.apply(*value);
        }
    }
}

pub(super) fn affine(x: &[f32], scale: &[f32], offset: &[f32], out: &mut [f32]) {
    for (x, out) in x
        .chunks(scale.len().max(1))
        .zip(out.chunks_mut(scale.len().max(1)))
    {
        for (((out, x), s), o) in out.iter_mut().zip(x).zip(scale).zip(offset) {
            *out = x * s + o;
        }
    }
}

pub(super) fn binary(
    a: &[f32],
    b: &[f32],
    clamp: &Clamp,
    out: &mut [f32],
    op: impl Fn(f32, f32) -> f32,
) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = clamp.apply(op(a, b));
    }
}

pub(super) fn map(function: &Function, x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = match function {
            Function::Clamp(clamp) => clamp.apply(x),
            other => other.apply(f64::from(x)) as f32,
        };
    }
}
