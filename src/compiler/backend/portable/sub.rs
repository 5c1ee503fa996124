//! Difference of two tensors: a sum with a negative factor.

use tinsmith_module::numerics::SumFactors;

use super::{Lowered, add};
use crate::operators::Sub;

pub(super) const LOWERED: Lowered = Lowered {
    takes: |node| node.op.is::<Sub>(),
    tenths: 406,
    records: |cx, node| add::records(cx, node, SumFactors::sub),
};
