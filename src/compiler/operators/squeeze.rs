//! Squeeze and Unsqueeze: axes of extent 1 taken away or added.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known, node as axes};

pub(super) const ONNX: &[OnnxOperator] = &[
    known("Squeeze", 1..=2, squeeze),
    known("Unsqueeze", 1..=2, unsqueeze),
];

/// The axes, which are an input from operator set 13 on, counted from the front.
fn listed(
    cx: &Importer<'_>,
    node: &NodeView<'_>,
    rank: impl FnOnce(usize) -> usize,
) -> Result<Option<Vec<usize>>, Problem> {
    let listed = if cx.opset() >= 13 {
        cx.integers(node, 1, "axes")?
    } else {
        node.ints("axes").map(<[i64]>::to_vec)
    };
    let Some(listed) = listed else {
        return Ok(None);
    };
    let rank = rank(listed.len());
    listed
        .iter()
        .map(|&value| axes::axis("axes", value, rank))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

fn squeeze(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let from = cx.shape(x).to_vec();
    let gone = match listed(cx, node, |_| from.len())? {
        Some(axes) => axes,
        None => (0..from.len()).filter(|&axis| from[axis] == 1).collect(),
    };
    let shape = (0..from.len())
        .filter(|axis| !gone.contains(axis))
        .map(|axis| from[axis])
        .collect();
    let y = cx.reshape(x, shape)?;
    cx.bind(node, y)
}

fn unsqueeze(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let from = cx.shape(x).to_vec();
    let added = listed(cx, node, |count| from.len() + count)?.unwrap_or_default();
    let mut rest = from.iter().copied();
    let shape: Vec<usize> = (0..from.len() + added.len())
        .filter_map(|axis| match added.contains(&axis) {
            true => Some(1),
            false => rest.next(),
        })
        .collect();
    if shape.len() != from.len() + added.len() {
        return Err(Problem::Attribute {
            attribute: "axes".into(),
            value: format!("{added:?}"),
            rule: "every axis may be named only once".into(),
        });
    }
    let y = cx.reshape(x, shape)?;
    cx.bind(node, y)
}
