//! The end of a run for a state: its next value is written where the state lies.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::ir::{Operands, Operator, Prepared, ScaleRule};

/// Inputs next value, state. The output is the next value with the state's scale; it has the state's
/// memory and is written when all readers of the state are done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Store;

impl Operator for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        for out in out {
            out.clear();
            out.extend_from_slice(x.values(0));
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(1)
    }
}
