//! Pad with a constant.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known, node as axes};
use crate::ir::{Move, Op, Operands, Operator, Prepared, ScaleRule};

pub(super) const ONNX: &[OnnxOperator] = &[known("Pad", 1..=4, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
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
    let (pads, value) = if cx.opset() >= 11 {
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
    let y = if before.iter().chain(&after).all(|&pad| pad == 0) {
        x
    } else {
        let op = Pad {
            before,
            after,
            value,
        };
        cx.emit(op, vec![x])?
    };
    cx.bind(node, y)
}

/// Adds elements of a value around the tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pad {
    /// Elements before, per axis.
    pub before: Vec<usize>,
    /// Elements after, per axis.
    pub after: Vec<usize>,
    /// Their value.
    pub value: f32,
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        let (shape, to) = (x.shape(0), x.output(0));
        let Some(out) = out.first_mut() else { return };
        out.fill(self.value);
        let run = shape.last().copied().unwrap_or(1).max(1);
        for (row, source) in x.values(0).chunks(run).enumerate() {
            let mut rest = row;
            let mut at = self.before.last().copied().unwrap_or(0);
            let mut stride = to.last().copied().unwrap_or(1);
            for axis in (0..shape.len().saturating_sub(1)).rev() {
                at += (rest % shape[axis] + self.before[axis]) * stride;
                rest /= shape[axis];
                stride *= to[axis];
            }
            out[at..at + source.len()].copy_from_slice(source);
        }
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        Ok(inputs.first().map(|from| {
            let added = self.before.iter().zip(&self.after);
            let to = from.iter().zip(added);
            vec![to.map(|(extent, (a, b))| extent + a + b).collect()]
        }))
    }

    fn scale_rule(&self) -> ScaleRule {
        ScaleRule::OfInput(0)
    }

    fn before_move(&self, by: &Move<'_>) -> Option<Op> {
        let (mut before, mut after) = (vec![0; by.from.len()], vec![0; by.from.len()]);
        for (axis, source) in by.axes()?.into_iter().enumerate() {
            let (lead, tail) = (*self.before.get(axis)?, *self.after.get(axis)?);
            match source {
                Some(source) => {
                    before[source] = lead;
                    after[source] = tail;
                }
                None if lead + tail == 0 => {}
                None => return None,
            }
        }
        let value = self.value;
        Some(
            Self {
                before,
                after,
                value,
            }
            .into(),
        )
    }
}
