//! Pad with a constant.

use super::{Importer, NodeView, node as axes};
use crate::ir::Op;
use tinsmith_build_job::Problem;

pub(super) fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let shape = cx.shape(x).to_vec();
    let rank = shape.len();
    match node.string("mode").as_str() {
        "" | "constant" => {}
        mode => {
            let what = format!("mode {mode} is not supported; pad with a constant");
            return Err(Problem::Unsupported { what });
        }
    }
    let (pads, value) = if cx.opset >= 11 {
        let value = if node.input(2).is_empty() {
            0.0
        } else {
            cx.floats(node, 2, "value")?
                .0
                .first()
                .copied()
                .unwrap_or(0.0)
        };
        (cx.integers(node, 1, "pads")?.unwrap_or_default(), value)
    } else {
        (
            node.ints("pads").unwrap_or_default().to_vec(),
            node.float("value", 0.0),
        )
    };
    let named = match cx.integers(node, 3, "axes")? {
        Some(list) => list
            .iter()
            .map(|&value| axes::axis("axes", value, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let bad = |rule: &str| Problem::Attribute {
        attribute: "pads".into(),
        value: format!("{:?}", pads.iter().take(16).collect::<Vec<_>>()),
        rule: rule.into(),
    };
    if pads.len() != 2 * named.len() {
        return Err(bad("there must be two for each axis"));
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (index, &axis) in named.iter().enumerate() {
        for (list, value) in [
            (&mut before, pads[index]),
            (&mut after, pads[named.len() + index]),
        ] {
            if !(0..=1 << 15).contains(&value) {
                return Err(bad("every pad must be 0 to 32768"));
            }
            list[axis] = usize::try_from(value).unwrap_or(0);
        }
    }
    let output = (0..rank)
        .map(|axis| shape[axis] + before[axis] + after[axis])
        .collect();
    let y = if before.iter().chain(&after).all(|&pad| pad == 0) {
        x
    } else {
        cx.emit(
            Op::Pad {
                before,
                after,
                value,
            },
            vec![x],
            output,
        )
    };
    cx.bind(node, y)
}
