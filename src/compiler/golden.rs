//! The inputs of a module's self test.

use tinsmith_build_job::Request;
use tinsmith_module::build::GoldenInput;
use tinsmith_module::numerics;

use super::ir::{Graph, Port, Quantization};
use super::plan::ALIGN;

/// Runs of a golden input where a run depends on those before it.
const SEQUENCE: u16 = 4;
/// Seeds of the golden inputs that every module carries.
const GOLDEN_SEEDS: [u32; 2] = [0x7473_6d31, 0x7473_6d32];
/// A raw sample up to this many bytes is a golden input too.
const MAX_RAW_GOLDEN: usize = 2048;

/// Runs of each golden input.
pub(crate) fn steps(graph: &Graph) -> u16 {
    match graph.states.is_empty() {
        true => 1,
        false => SEQUENCE,
    }
}

/// Seeds, and calibration samples for [`steps`] runs if they are small enough.
pub(crate) fn inputs(request: &Request, graph: &Graph) -> Vec<GoldenInput> {
    let seeds = usize::from(request.options.golden_seeds);
    let mut golden: Vec<GoldenInput> = GOLDEN_SEEDS
        .iter()
        .take(seeds)
        .map(|&seed| GoldenInput::Seed(seed))
        .collect();
    let steps = usize::from(steps(graph));
    let samples = request.options.calibration.iter().take(steps);
    let small = steps * graph.sample_size() <= MAX_RAW_GOLDEN;
    if request.options.golden_sample && small && samples.len() == steps {
        let parts = samples.flat_map(|sample| graph.parts(sample));
        let bytes = parts.flat_map(|(port, part)| stored(graph, port, part));
        golden.push(GoldenInput::Raw(bytes.collect()));
    }
    golden
}

/// Values in ONNX order as the bytes of an input tensor.
pub(crate) fn stored(graph: &Graph, port: &Port, values: &[f32]) -> Vec<u8> {
    let quantization = graph.tensor(port.tensor).quantization.as_ref();
    let (scale, zero) = quantization
        .and_then(Quantization::single)
        .unwrap_or((1.0, 0));
    let of = |index| match &port.steps {
        Some(steps) => steps.of(index),
        None => (scale, zero),
    };
    port.outside(values)
        .enumerate()
        .map(|(index, x)| {
            let (scale, zero) = of(index);
            numerics::quantize(x, scale, zero).cast_unsigned()
        })
        .collect()
}

/// The bytes of the state segment at reset.
pub(crate) fn reset(graph: &Graph) -> Vec<u8> {
    let mut bytes = Vec::new();
    for state in &graph.states {
        let tensor = graph.tensor(state.tensor);
        let quantization = tensor.quantization.as_ref();
        let (scale, zero) = quantization
            .and_then(Quantization::single)
            .unwrap_or((1.0, 0));
        let real = tensor.real().unwrap_or_default();
        let stored = real.iter().map(|&x| numerics::quantize(x, scale, zero));
        bytes.extend(stored.map(i8::cast_unsigned));
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    }
    bytes
}
