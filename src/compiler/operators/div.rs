//! Div of two tensors, or of a tensor and a constant.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("Div", 2..=2, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let (a, b) = (cx.input(node, 0)?, cx.input(node, 1)?);
    let Some((axis, values)) = cx.channel_constant(b, a)? else {
        let what = "division by a tensor that is not constant; only constants are supported".into();
        return Err(Problem::Unsupported { what });
    };
    if values.contains(&0.0) {
        let what = "division by a constant that holds 0; train the model again".into();
        return Err(Problem::Unsupported { what });
    }
    let factors = values
        .iter()
        .map(|&v| (1.0 / f64::from(v)) as f32)
        .collect();
    let y = cx.affine(a, axis, factors, vec![0.0; values.len()])?;
    cx.bind(node, y)
}
