//! AveragePool, 1-D and 2-D.

use super::{Importer, NodeView};
use crate::ir::Op;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let include_pad = node.int("count_include_pad", 0) == 1;
    if include_pad && node.int("ceil_mode", 0) == 1 {
        let what = "ceil_mode together with count_include_pad; export without one of them".into();
        return Err(Problem::Unsupported { what });
    }
    let y = cx.pool(node, |window| Op::AveragePool {
        window,
        include_pad,
    })?;
    cx.bind(node, y)
}
