//! One factor and one offset for all elements: constants of one value.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::ir::{Clamp, Move, Op, Operands, Operator, Prepared};

/// `x * scale + offset`, limited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    /// The factor.
    pub scale: f64,
    /// The offset.
    pub offset: f64,
    /// Fused limits.
    pub clamp: Clamp,
}

impl Linear {
    /// Without limits.
    pub(crate) fn new(scale: f64, offset: f64) -> Self {
        Self {
            scale,
            offset,
            clamp: Clamp::NONE,
        }
    }

    /// Whether it is a positive factor and nothing else, so that the same bytes under another scale
    /// are its result.
    pub(crate) fn is_positive_factor(&self) -> bool {
        let scale = self.scale as f32;
        scale.is_normal() && scale > 0.0 && self.offset == 0.0 && self.clamp.is_none()
    }
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        elementwise::map(self, x, out);
        elementwise::limit(self.clamp, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn function(&self, x: f64) -> Option<f64> {
        let y = x * self.scale + self.offset;
        Some(y.clamp(f64::from(self.clamp.lo), f64::from(self.clamp.hi)))
    }

    fn in_place(&self) -> &'static [usize] {
        &[0]
    }

    fn before_move(&self, _: &Move<'_>) -> Option<Op> {
        Some(self.clone().into())
    }

    fn clamp(&self) -> Option<Clamp> {
        Some(self.clamp)
    }

    fn with_clamp(&self, clamp: Clamp) -> Option<Op> {
        Some(Op::changed(self, |op| op.clamp = clamp))
    }
}
