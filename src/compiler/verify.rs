//! Nothing leaves the compiler that was not run: the module, on two engines, on its golden inputs and
//! on calibration samples, equal in every layer.

use tinsmith_build_job::Samples;
use tinsmith_module::numerics;

use super::engine::{Engine, Session, Trace};
use super::golden::stored;
use super::ir::eval::Evaluator;
use super::ir::{Graph, Quantization, Range};
use super::passes;
use super::write::Layer;

/// Calibration samples on which the engines are compared.
const VERIFIED_SAMPLES: usize = 4;
/// Calibration samples on which the noise of each layer is measured.
const NOISE_SAMPLES: usize = 8;

/// Runs a module on samples: the values of all inputs in ONNX order, one input after another.
pub(crate) struct Runner<'a> {
    graph: &'a Graph,
    engine: &'a dyn Engine,
}

/// What a module answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The class, for a classifier.
    pub class: Option<u32>,
    /// The outputs in ONNX order, one after another, dequantized.
    pub output: Vec<f32>,
}

/// A run of samples one after another.
pub(crate) struct Running<'a> {
    graph: &'a Graph,
    session: Box<dyn Session + 'a>,
}

impl<'a> Runner<'a> {
    /// A runner for an engine that has the module of this quantized graph.
    pub(crate) fn new(graph: &'a Graph, engine: &'a dyn Engine) -> Self {
        Self { graph, engine }
    }

    /// A memory of its own.
    pub(crate) fn start(&self) -> Running<'a> {
        Running {
            graph: self.graph,
            session: self.engine.start(),
        }
    }
}

impl Running<'_> {
    /// One sample, with a look at what each record gives.
    pub(crate) fn trace(
        &mut self,
        sample: &[f32],
        trace: Option<Trace<'_>>,
    ) -> Result<Answer, String> {
        let parts = self.graph.parts(sample).into_iter();
        let inputs: Vec<Vec<u8>> = parts
            .map(|(port, part)| stored(self.graph, port, part))
            .collect();
        let outcome = self.session.run(&inputs, trace)?;
        if outcome.outputs.len() != self.graph.outputs.len() {
            return Err("the module has another number of outputs than the graph".into());
        }
        let mut output = Vec::new();
        for (port, bytes) in self.graph.outputs.iter().zip(&outcome.outputs) {
            let quantization = self.graph.tensor(port.tensor).quantization.as_ref();
            let (scale, zero) = quantization
                .and_then(Quantization::single)
                .ok_or("an output has no scale")?;
            let real: Vec<f32> = bytes
                .iter()
                .map(|byte| numerics::dequantize(byte.cast_signed(), scale, zero))
                .collect();
            output.extend(port.onnx_order(&real));
        }
        Ok(Answer {
            class: outcome.class,
            output,
        })
    }

    /// One sample.
    pub(crate) fn run(&mut self, sample: &[f32]) -> Result<Answer, String> {
        self.trace(sample, None)
    }
}

/// One engine against another, every layer bit for bit, then the module's own self test.
pub(crate) fn verify(
    graph: &Graph,
    engine: &dyn Engine,
    reference: &dyn Engine,
    samples: &Samples,
) -> Result<(), String> {
    let mut running = Runner::new(graph, engine).start();
    let mut expected = Runner::new(graph, reference).start();
    for (index, sample) in samples.iter().take(VERIFIED_SAMPLES).enumerate() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let one = running.trace(
            sample,
            Some(&mut |layer, bytes| {
                collect(&mut ours, layer, bytes);
            }),
        )?;
        let two = expected.trace(
            sample,
            Some(&mut |layer, bytes| {
                collect(&mut theirs, layer, bytes);
            }),
        )?;
        let layers = 0..ours.len().max(theirs.len());
        if let Some(layer) = layers.into_iter().find(|&l| ours.get(l) != theirs.get(l)) {
            return Err(format!(
                "sample {index}: {} and {} differ in layer {layer}",
                engine.name(),
                reference.name()
            ));
        }
        if one != two {
            return Err(format!("sample {index}: classes or outputs differ"));
        }
    }
    engine.self_test()
}

fn collect(layers: &mut Vec<Vec<u8>>, layer: usize, bytes: &[u8]) {
    if layers.len() <= layer {
        layers.resize(layer + 1, Vec::new());
    }
    layers[layer].extend_from_slice(bytes);
}

/// Sums of squares over elements.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Power {
    /// Of what float gives.
    pub signal: f64,
    /// Of the difference to it.
    pub noise: f64,
    /// Elements.
    pub count: f64,
}

impl Power {
    fn add(&mut self, real: f32, stored: f32) {
        let (real, error) = (f64::from(real), f64::from(stored - real));
        self.signal += real * real;
        self.noise += error * error;
        self.count += 1.0;
    }

    /// Signal to noise in dB, none without any noise.
    pub(crate) fn db(&self) -> Option<f64> {
        let both = self.signal > 0.0 && self.noise > 0.0;
        both.then(|| 10.0 * libm::log10(self.signal / self.noise))
    }
}

/// How far a module is from the float graph on calibration samples.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    /// Of each layer.
    pub layers: Vec<Power>,
    /// Of each output.
    pub outputs: Vec<Power>,
    /// What each feature of each input is like, an index of its last axis as stored.
    pub inputs: Vec<Vec<Feature>>,
}

/// What a feature of an input is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feature {
    /// Over all samples.
    pub range: Range,
    /// Deviation from the mean over those that are measured.
    pub deviation: f64,
}

fn features(graph: &Graph, index: usize, samples: &Samples) -> Vec<Feature> {
    let ranges = passes::features(graph, index, samples);
    let mut sums = vec![(0.0_f64, 0.0_f64, 0.0_f64); ranges.len()];
    for sample in samples.iter().take(NOISE_SAMPLES) {
        for (port, part) in graph.parts(sample).into_iter().skip(index).take(1) {
            for (at, x) in port.outside(part).enumerate() {
                let (x, width) = (f64::from(x), sums.len());
                let (count, sum, squares) = &mut sums[at % width];
                *count += 1.0;
                *sum += x;
                *squares += x * x;
            }
        }
    }
    let deviation = |(count, sum, squares): (f64, f64, f64)| {
        let mean = sum / count;
        libm::sqrt((squares / count - mean * mean).max(0.0))
    };
    let both = ranges.into_iter().zip(sums);
    both.map(|(range, sums)| Feature {
        range,
        deviation: deviation(sums),
    })
    .collect()
}

/// Measures it.
pub(crate) fn noise(
    graph: &Graph,
    engine: &dyn Engine,
    layers: &[Layer],
    float: &Graph,
    samples: &Samples,
) -> Noise {
    let mut power = vec![Power::default(); layers.len()];
    let mut outputs = vec![Power::default(); graph.outputs.len()];
    let mut evaluator = Evaluator::new(float);
    let mut running = Runner::new(graph, engine).start();
    for sample in samples.iter().take(NOISE_SAMPLES) {
        evaluator.run(sample);
        // Rows of one layer come one after another.
        let mut seen = vec![0; layers.len()];
        let traced = running.trace(
            sample,
            Some(&mut |layer, bytes| {
                let (Some(power), Some(seen)) = (power.get_mut(layer), seen.get_mut(layer)) else {
                    return;
                };
                let Some(tensor) = layers.get(layer).and_then(|layer| layer.gives) else {
                    return;
                };
                let quantization = graph.tensor(tensor).quantization.as_ref();
                let Some((scale, zero)) = quantization.and_then(Quantization::single) else {
                    return;
                };
                let reals = evaluator.value(tensor).iter().skip(*seen);
                *seen += bytes.len();
                for (&byte, &real) in bytes.iter().zip(reals) {
                    let back = numerics::dequantize(byte.cast_signed(), scale, zero);
                    power.add(real, back);
                }
            }),
        );
        let Ok(answer) = traced else { break };
        let (reals, mut stored) = (evaluator.output(), answer.output.as_slice());
        let mut reals = reals.as_slice();
        for (port, power) in graph.outputs.iter().zip(&mut outputs) {
            let length = port.order.len().min(stored.len()).min(reals.len());
            let (real, other) = reals.split_at(length);
            let (back, rest) = stored.split_at(length);
            (reals, stored) = (other, rest);
            for (&real, &back) in real.iter().zip(back) {
                power.add(real, back);
            }
        }
    }
    Noise {
        layers: power,
        outputs,
        inputs: (0..graph.inputs.len())
            .map(|index| features(graph, index, samples))
            .collect(),
    }
}
