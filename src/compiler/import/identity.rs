//! Identity, and Dropout at inference.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    cx.names.insert(node.output().to_owned(), x);
    Ok(())
}
