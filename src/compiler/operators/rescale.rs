//! The same bytes under another scale: a positive factor that nothing took in.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::ir::{Operands, Operator, Prepared, ScaleRule};

/// `x * factor`, which takes no code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rescale {
    /// The factor, above 0.
    pub factor: f32,
}

impl Operator for Rescale {
    fn name(&self) -> &'static str {
        "rescale"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            for (out, x) in out.iter_mut().zip(x.values(0)) {
                *out = x * self.factor;
            }
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::Scaled {
            input: 0,
            factor: self.factor,
        }
    }

    fn is_view(&self) -> bool {
        true
    }
}
