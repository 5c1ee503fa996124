//! BatchNormalization in inference form: a factor and an offset per channel.

use tinsmith_build_job::Problem;

use crate::import::{Importer, NodeView, OnnxOperator, known};

pub(super) const ONNX: &[OnnxOperator] = &[known("BatchNormalization", 5..=5, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    if node.int("training_mode", 0) != 0 {
        let what = "training_mode is set; export the model for inference".into();
        return Err(Problem::Unsupported { what });
    }
    let (gamma, _) = cx.floats(node, 1, "scale")?;
    let (beta, _) = cx.floats(node, 2, "bias")?;
    let (mean, _) = cx.floats(node, 3, "mean")?;
    let (variance, _) = cx.floats(node, 4, "variance")?;
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let channels = cx.shape(x).get(1).copied().unwrap_or(0);
    if [&gamma, &beta, &mean, &variance]
        .iter()
        .any(|list| list.len() != channels)
    {
        let detail = format!("statistics of {} for {channels} channels", gamma.len());
        return Err(Problem::Shapes { detail });
    }
    let (mut scale, mut offset) = (Vec::new(), Vec::new());
    for channel in 0..channels {
        let spread = f64::from(variance[channel]) + epsilon;
        if spread <= 0.0 {
            return Err(Problem::Attribute {
                attribute: "variance".into(),
                value: variance[channel].to_string(),
                rule: "variance and epsilon must add to a positive number".into(),
            });
        }
        let factor = f64::from(gamma[channel]) / spread.sqrt();
        scale.push(factor as f32);
        offset.push((f64::from(beta[channel]) - f64::from(mean[channel]) * factor) as f32);
    }
    let y = cx.affine(x, Some(1), scale, offset)?;
    cx.bind(node, y)
}
