//! Nothing leaves the compiler that was not run: the module, by the specification and by the
//! kernels, on its golden inputs and on calibration samples, equal in every layer.

use tinsmith_module::{Module, numerics, spec};

use super::golden::stored;
use super::ir::eval::Evaluator;
use super::ir::{Graph, Port};
use super::plan::Plan;
use tinsmith_build_job::Samples;

/// Calibration samples on which specification and kernels are compared.
const VERIFIED_SAMPLES: usize = 4;
/// Calibration samples on which the noise of each layer is measured.
const NOISE_SAMPLES: usize = 8;

/// Runs a module on samples in ONNX order.
pub(crate) struct Runner<'a> {
    graph: &'a Graph,
    module: &'a Module<'a>,
    input: &'a Port,
    output: &'a Port,
}

/// What a module answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The class, for a classifier.
    pub class: Option<u32>,
    /// The output in ONNX order, dequantized.
    pub output: Vec<f32>,
}

impl<'a> Runner<'a> {
    /// A runner for a module and the quantized graph it was built from.
    pub(crate) fn new(graph: &'a Graph, module: &'a Module<'a>) -> Result<Self, String> {
        match (graph.inputs.first(), graph.outputs.first()) {
            (Some(input), Some(output)) => Ok(Self {
                graph,
                module,
                input,
                output,
            }),
            _ => Err("the graph has no input or no output".into()),
        }
    }

    /// An arena for [`Self::run`].
    pub(crate) fn arena(&self) -> Vec<u8> {
        vec![0; self.module.arena_bytes()]
    }

    fn load(&self, sample: &[f32], arena: &mut [u8]) -> Result<Vec<u8>, String> {
        let bytes = stored(self.graph, self.input, sample);
        let place = self
            .module
            .input_range(0)
            .and_then(|range| arena.get_mut(range));
        match place {
            Some(place) if place.len() == bytes.len() => place.copy_from_slice(&bytes),
            _ => return Err("the module's input has another size than the graph's".into()),
        }
        Ok(bytes)
    }

    /// Runs the kernels on one sample.
    pub(crate) fn run(&self, sample: &[f32], arena: &mut [u8]) -> Result<Answer, String> {
        self.load(sample, arena)?;
        let class = self.module.run(arena).map_err(|e| e.to_string())?;
        let range = self
            .module
            .output_range(0)
            .ok_or("the module has no output")?;
        let bytes = arena
            .get(range)
            .ok_or("the output lies outside the arena")?;
        let quantization = self.graph.tensor(self.output.tensor).quantization.as_ref();
        let scale = quantization
            .and_then(|q| q.scale.first())
            .copied()
            .unwrap_or(1.0);
        let zero = quantization
            .and_then(|q| q.zero.first())
            .copied()
            .unwrap_or(0);
        let mut output = vec![0.0; bytes.len()];
        for (&index, &byte) in self.output.order.iter().zip(bytes) {
            if let Some(place) = output.get_mut(index as usize) {
                *place = numerics::dequantize(byte.cast_signed(), scale, zero);
            }
        }
        Ok(Answer {
            class: class.map(|c| c.index),
            output,
        })
    }

    /// Specification against kernels, every layer bit for bit, then the module's own self test.
    pub(crate) fn verify(&self, samples: &Samples) -> Result<(), String> {
        let mut arena = self.arena();
        for (index, sample) in samples.iter().take(VERIFIED_SAMPLES).enumerate() {
            let bytes = self.load(sample, &mut arena)?;
            let expected = spec::run(self.module, &[&bytes]).map_err(|e| e.to_string())?;
            let mut layers: Vec<Vec<u8>> = vec![Vec::new(); self.module.layer_count()];
            let class = self
                .module
                .run_traced(&mut arena, &mut |layer, bytes| {
                    if let Some(all) = layers.get_mut(layer) {
                        all.extend_from_slice(bytes);
                    }
                })
                .map_err(|e| e.to_string())?;
            if let Some(layer) =
                (0..layers.len()).find(|&l| expected.layers.get(l) != layers.get(l))
            {
                return Err(format!(
                    "sample {index}: the kernel of layer {layer} differs from the specification"
                ));
            }
            if class.map(|c| c.index) != expected.class.map(|c| c.index) {
                return Err(format!("sample {index}: the classes differ"));
            }
        }
        // The golden results come from the specification.
        if self.module.golden_count() > 0 {
            self.module
                .self_test(&mut arena)
                .map_err(|e| format!("self test: {e}"))?;
        }
        Ok(())
    }

    /// Signal to noise of each layer in dB against the float graph, none without any noise.
    pub(crate) fn noise(&self, float: &Graph, plan: &Plan, samples: &Samples) -> Vec<Option<f64>> {
        let outputs: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|&id| self.graph.node(id))
            .map(|node| node.outputs[0])
            .collect();
        let mut power = vec![(0.0_f64, 0.0_f64); outputs.len()];
        let mut evaluator = Evaluator::new(float);
        let mut arena = self.arena();
        for sample in samples.iter().take(NOISE_SAMPLES) {
            evaluator.run(sample);
            if self.load(sample, &mut arena).is_err() {
                break;
            }
            let traced = self.module.run_traced(&mut arena, &mut |layer, bytes| {
                let (Some(&tensor), Some(power)) = (outputs.get(layer), power.get_mut(layer))
                else {
                    return;
                };
                let Some(q) = self.graph.tensor(tensor).quantization.as_ref() else {
                    return;
                };
                let (Some(&scale), Some(&zero)) = (q.scale.first(), q.zero.first()) else {
                    return;
                };
                for (&byte, &real) in bytes.iter().zip(evaluator.value(tensor)) {
                    let back = numerics::dequantize(byte.cast_signed(), scale, zero);
                    let (real, error) = (f64::from(real), f64::from(back - real));
                    power.0 += real * real;
                    power.1 += error * error;
                }
            });
            if traced.is_err() {
                break;
            }
        }
        power
            .into_iter()
            .map(|(signal, noise)| {
                (signal > 0.0 && noise > 0.0).then(|| 10.0 * libm::log10(signal / noise))
            })
            .collect()
    }
}
