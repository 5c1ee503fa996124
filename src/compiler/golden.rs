//! The inputs of a module's self test.

use tinsmith_build_job::Request;
use tinsmith_module::build::GoldenInput;
use tinsmith_module::numerics;

use super::ir::{self, Graph};

/// Seeds of the golden inputs that every module carries.
const GOLDEN_SEEDS: [u32; 2] = [0x7473_6d31, 0x7473_6d32];
/// A raw sample up to this many bytes is a golden input too.
const MAX_RAW_GOLDEN: usize = 2048;

/// Seeds, and a calibration sample that is small enough.
pub(crate) fn inputs(request: &Request, graph: &Graph) -> Vec<GoldenInput> {
    let seeds = usize::from(request.options.golden_seeds);
    let mut golden: Vec<GoldenInput> = GOLDEN_SEEDS
        .iter()
        .take(seeds)
        .map(|&seed| GoldenInput::Seed(seed))
        .collect();
    if let (true, Some(input), Some(sample)) = (
        request.options.golden_sample,
        graph.inputs.first(),
        request.options.calibration.iter().next(),
    ) && sample.len() <= MAX_RAW_GOLDEN
    {
        golden.push(GoldenInput::Raw(stored(graph, input, sample)));
    }
    golden
}

/// A sample in ONNX order as the bytes of an input tensor.
pub(crate) fn stored(graph: &Graph, port: &ir::Port, sample: &[f32]) -> Vec<u8> {
    let quantization = graph.tensor(port.tensor).quantization.as_ref();
    let scale = quantization
        .and_then(|q| q.scale.first())
        .copied()
        .unwrap_or(1.0);
    let zero = quantization
        .and_then(|q| q.zero.first())
        .copied()
        .unwrap_or(0);
    port.order
        .iter()
        .map(|&i| sample.get(i as usize).copied().unwrap_or(0.0))
        .map(|x| numerics::quantize(x, scale, zero).cast_unsigned())
        .collect()
}
