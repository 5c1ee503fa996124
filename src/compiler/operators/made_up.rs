//! An operator that nobody else knows, tract neither: what it takes to add one is this file, its
//! declaration and its line in the list.

use tinsmith_build_job::Problem;

use super::elementwise;
use crate::import::{Importer, NodeView, OnnxOperator, known};
use crate::ir::{Move, Op, Operands, Operator, Prepared, Range};

pub(super) const ONNX: &[OnnxOperator] = &[known("MadeUp", 1..=1, import)];

fn import(cx: &mut Importer<'_>, node: &NodeView<'_>) -> Result<(), Problem> {
    let x = cx.input(node, 0)?;
    let y = cx.emit(MadeUp, vec![x])?;
    cx.bind(node, y)
}

/// Smaller the farther from 0.
#[derive(Debug, Clone, PartialEq)]
struct MadeUp;

impl Operator for MadeUp {
    fn name(&self) -> &'static str {
        "made_up"
    }

    fn evaluate(&self, _: &Prepared, x: &Operands<'_>, out: &mut [Vec<f32>]) {
        elementwise::map(self, x, out);
    }

    fn shapes(&self, inputs: &[&[usize]]) -> Result<Option<Vec<Vec<usize>>>, Problem> {
        elementwise::shapes(inputs)
    }

    fn function(&self, x: f64) -> Option<f64> {
        Some(1.0 / (1.0 + x * x))
    }

    fn range(&self, _: usize, _: Range) -> Range {
        Range { lo: 0.0, hi: 1.0 }
    }

    fn in_place(&self) -> &'static [usize] {
        &[0]
    }

    fn before_move(&self, _: &Move<'_>) -> Option<Op> {
        Some(self.clone().into())
    }
}

mod tests {
    use tinsmith_build_job::{FloatCheck, Options, Request, Samples, Task, TestSet};

    use crate::ir::TensorId;
    use crate::testing::{Onnx, values};

    /// From the file to a verified module between two convolutions, though no list of lowerings, of
    /// passes or of quantization rules names it and tract can't load the file.
    #[test]
    fn it_compiles_from_file_to_module() {
        let onnx = Onnx::new(&[1, 2, 5, 5])
            .weights("w1", &[3, 2, 3, 3])
            .weights("w2", &[1, 3, 3, 3])
            .node("Conv", &["x", "w1"], "c", &[])
            .node("MadeUp", &["c"], "m", &[])
            .node("Conv", &["m", "w2"], "y", &[])
            .file(&["y"]);
        let samples = |count: usize, seed| Samples::new(vec![2, 5, 5], values(count * 50, seed));
        let request = Request {
            name: "made-up".into(),
            version: "1".into(),
            onnx,
            task: Task::Regress,
            labels: Vec::new(),
            capability: tinsmith_targets::find("nrf52840").unwrap(),
            options: Options::new(samples(32, 1)),
            test: Some(TestSet {
                x: samples(16, 2),
                y: vec![0.0; 16],
            }),
        };
        let build = crate::pipeline::build(&request, &mut |_, _| {}).unwrap();
        let tensors = (0..build.graph.tensor_count()).map(TensorId);
        let mut tensors = tensors.map(|id| build.graph.tensor(id));
        let m = tensors.find(|t| t.name == "m" && t.quantization.is_some());
        // Its range is the operator's to tell, whatever calibration saw.
        let scale = (1.0_f64 / 255.0) as f32;
        assert_eq!(m.unwrap().quantization.as_ref().unwrap().scale, [scale]);
        let report = crate::compile(&request, &mut |_| {}).unwrap().report;
        let ops: Vec<&str> = report
            .layers
            .iter()
            .map(|layer| layer.op.as_str())
            .collect();
        assert_eq!(ops, ["conv", "made_up", "conv"]);
        assert!(
            report
                .layers
                .iter()
                .all(|layer| layer.backend == "portable")
        );
        assert!(report.layers.iter().all(|layer| layer.cycles.is_some()));
        assert!(matches!(report.float_check, FloatCheck::None { .. }));
        let (float, int8) = (report.metric_float.unwrap(), report.metric_int8.unwrap());
        assert!((float - int8).abs() < 0.02 * float, "{float} {int8}");
    }
}
