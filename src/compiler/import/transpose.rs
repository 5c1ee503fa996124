//! Transpose.

use super::{Importer, NodeView};
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let rank = cx.shape(x).len();
    let perm: Vec<usize> = match node.ints("perm") {
        Some(perm) if perm.len() == rank => perm
            .iter()
            .map(|&p| usize::try_from(p).unwrap_or(0))
            .collect(),
        Some(perm) => {
            return Err(Problem::Attribute {
                attribute: "perm".into(),
                value: format!("{perm:?}"),
                rule: format!("it must have {rank} values"),
            });
        }
        None => (0..rank).rev().collect(),
    };
    let y = cx.transpose(x, perm);
    cx.bind(node, y)
}
