//! Maps of the form `x * factor + offset`, in f64.

use crate::ir::{Clamp, Graph, Node, Op, Patch, Tensor, TensorId};
use crate::operators::{Affine, Linear};

/// A factor and an offset for each index of the last axis, or one for all elements.
pub(super) struct Map {
    scale: Vec<f64>,
    offset: Vec<f64>,
    clamp: Clamp,
}

impl Map {
    /// What changes nothing.
    pub(super) fn identity() -> Self {
        Self::new(vec![(1.0, 0.0)])
    }

    /// Factor and offset of each index, or one pair for all.
    pub(super) fn new(pairs: Vec<(f64, f64)>) -> Self {
        let (scale, offset) = pairs.into_iter().unzip();
        Self {
            scale,
            offset,
            clamp: Clamp::NONE,
        }
    }

    /// The map that a node is, if it is one.
    pub(super) fn of(graph: &Graph, node: &Node) -> Option<Self> {
        if let Some(linear) = node.op.get::<Linear>() {
            return Some(Self {
                scale: vec![linear.scale],
                offset: vec![linear.offset],
                clamp: linear.clamp,
            });
        }
        if !node.op.is::<Affine>() {
            return None;
        }
        let wide = |id: TensorId| -> Option<Vec<f64>> {
            let values = graph.tensor(id).f32s()?;
            Some(values.iter().map(|&v| f64::from(v)).collect())
        };
        Some(Self {
            scale: wide(*node.inputs.get(1)?)?,
            offset: wide(*node.inputs.get(2)?)?,
            clamp: Clamp::NONE,
        })
    }

    /// Factor and offset of an index of the last axis.
    pub(super) fn at(&self, index: usize) -> Option<(f64, f64)> {
        let index = if self.is_uniform() { 0 } else { index };
        Some((*self.scale.get(index)?, *self.offset.get(index)?))
    }

    /// Whether it is the same for all elements.
    pub(super) fn is_uniform(&self) -> bool {
        self.scale.len() == 1
    }

    /// Whether it limits nothing.
    pub(super) fn is_unlimited(&self) -> bool {
        self.clamp.is_none()
    }

    /// Whether 0 stays 0.
    pub(super) fn keeps_zero(&self) -> bool {
        self.offset.iter().all(|&o| o == 0.0)
    }

    /// Whether it has no inverse that can be computed.
    pub(super) fn is_degenerate(&self) -> bool {
        let wrong = |s: &f64| !(1e-30..1e30).contains(&s.abs());
        self.scale.iter().any(wrong) || self.offset.iter().any(|o| !o.is_finite())
    }

    /// Indices that it tells apart.
    pub(super) fn width(&self) -> usize {
        self.scale.len()
    }

    /// This map, then `next`.
    pub(super) fn then(&self, next: &Self) -> Option<Self> {
        let width = self.width().max(next.width());
        let (mut scale, mut offset) = (Vec::with_capacity(width), Vec::with_capacity(width));
        for index in 0..width {
            let ((s1, o1), (s2, o2)) = (self.at(index)?, next.at(index)?);
            scale.push(s1 * s2);
            offset.push(o1 * s2 + o2);
        }
        Some(Self {
            scale,
            offset,
            clamp: next.clamp,
        })
    }

    /// The limits of a result before the map as limits behind it, and those of the map.
    pub(super) fn limits(&self, before: Clamp) -> Option<Clamp> {
        if before.is_none() {
            return Some(self.clamp);
        }
        let (scale, offset) = self.at(0).filter(|(s, _)| self.is_uniform() && *s > 0.0)?;
        let moved = |limit: f32| (f64::from(limit) * scale + offset) as f32;
        let limits = Clamp {
            lo: moved(before.lo),
            hi: moved(before.hi),
        };
        Some(limits.then(&self.clamp))
    }

    /// The operation that does it, with its constants.
    pub(super) fn operation(&self, patch: &mut Patch) -> Option<(Op, Vec<TensorId>)> {
        if self.is_uniform() {
            let (scale, offset) = self.at(0)?;
            let op = Linear {
                clamp: self.clamp,
                ..Linear::new(scale, offset)
            };
            return Some((op.into(), Vec::new()));
        }
        if !self.is_unlimited() {
            return None;
        }
        let mut constant = |name: &str, values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            patch.tensor(Tensor::constant(name, vec![values.len()], values))
        };
        let constants = vec![
            constant("scale", &self.scale),
            constant("offset", &self.offset),
        ];
        Some((Affine.into(), constants))
    }
}
