//! Limits of a result.

/// A fused activation: the result is limited to `lo..=hi`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clamp {
    /// Smallest value let through.
    pub lo: f32,
    /// Largest value let through.
    pub hi: f32,
}

impl Clamp {
    /// No limit.
    pub(crate) const NONE: Self = Self {
        lo: f32::NEG_INFINITY,
        hi: f32::INFINITY,
    };
    /// Negative values become 0.
    pub(crate) const RELU: Self = Self {
        lo: 0.0,
        hi: f32::INFINITY,
    };

    /// Whether nothing is limited.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// This limit, then `next`.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self {
            lo: next.apply(self.lo),
            hi: next.apply(self.hi),
        }
    }

    /// Limits one value.
    pub(crate) fn apply(&self, value: f32) -> f32 {
        if value < self.lo {
            self.lo
        } else if value > self.hi {
            self.hi
        } else {
            value
        }
    }
}
