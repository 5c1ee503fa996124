//! Whether int8 still computes what the model does: signal to noise of layers and outputs, and why it
//! is low.

use super::ir::{Graph, Node, Port, Quantization, TensorId};
use super::verify::Noise;
use super::write::Layer;

/// A layer has at least this signal to noise, in dB.
const LAYER_DB: f64 = 10.0;
/// An output has at least this, in dB.
const OUTPUT_DB: f64 = 20.0;
/// A feature of an input that varies by fewer steps than this is hardly there.
const FEW_STEPS: f64 = 8.0;
/// Findings that are told.
const MAX_TOLD: usize = 8;

/// What is below the limits, each with its cause.
pub(crate) fn findings(graph: &Graph, layers: &[Layer], noise: &Noise) -> Vec<String> {
    let view = View {
        graph,
        layers,
        noise,
    };
    let mut found = Vec::new();
    for index in 0..layers.len() {
        if let Some(db) = view.layer_db(index).filter(|db| *db < LAYER_DB) {
            let told = format!("{} has {db:.1} dB, {LAYER_DB} are needed", view.name(index));
            found.push(format!("{told}: {}", view.cause(index, LAYER_DB)));
        }
    }
    for (port, power) in graph.outputs.iter().zip(&noise.outputs) {
        let Some(db) = power.db().filter(|db| *db < OUTPUT_DB) else {
            continue;
        };
        let giver = view.giver(port.tensor);
        if giver.is_some_and(|at| view.layer_db(at).is_some_and(|db| db < LAYER_DB)) {
            continue;
        }
        let told = format!(
            "output '{}' has {db:.1} dB, {OUTPUT_DB} are needed",
            port.name
        );
        let cause = giver.map_or_else(String::new, |at| view.cause(at, OUTPUT_DB));
        found.push(format!("{told}: {cause}"));
    }
    if found.len() > MAX_TOLD {
        let more = found.len() - MAX_TOLD;
        found.truncate(MAX_TOLD);
        found.push(format!("and {more} more"));
    }
    found
}

struct View<'a> {
    graph: &'a Graph,
    layers: &'a [Layer],
    noise: &'a Noise,
}

impl<'a> View<'a> {
    fn layer_db(&self, index: usize) -> Option<f64> {
        self.noise.layers.get(index)?.db()
    }

    fn node(&self, index: usize) -> Option<&'a Node> {
        self.graph.node(self.layers.get(index)?.node)
    }

    fn name(&self, index: usize) -> String {
        let Some(node) = self.node(index) else {
            return format!("layer {index}");
        };
        format!("{} ({})", node.op.name(), node.sources.join(", "))
    }

    /// The layer that computes a tensor, which may be another's bytes under another shape.
    fn giver(&self, tensor: TensorId) -> Option<usize> {
        let source = self.source(tensor);
        self.layers
            .iter()
            .position(|layer| layer.gives == Some(source))
    }

    fn source(&self, mut tensor: TensorId) -> TensorId {
        while let Some((_, node)) = self.graph.producer(tensor) {
            match node.inputs.first() {
                Some(&input) if node.op.is_view() => tensor = input,
                _ => break,
            }
        }
        tensor
    }

    fn cause(&self, index: usize, wanted: f64) -> String {
        let Some(node) = self.node(index) else {
            return "of unknown cause".into();
        };
        let read = || node.inputs.iter().map(|&id| self.source(id));
        let port = |id: &TensorId| self.graph.inputs.iter().position(|port| port.tensor == *id);
        for (at, id) in read().filter_map(|id| Some((port(&id)?, id))) {
            if let Some(cause) = self.input_cause(at, id, wanted) {
                return cause;
            }
        }
        if let Some(cause) = self.range_cause(index, wanted) {
            return cause;
        }
        let given = read().filter_map(|id| self.giver(id));
        let noisy = given.filter_map(|at| Some((at, self.layer_db(at)?)));
        let worst = noisy.min_by(|a, b| a.1.total_cmp(&b.1));
        match worst {
            Some((at, db)) if db < wanted + 10.0 => {
                format!("it works on the {db:.1} dB of {}", self.name(at))
            }
            _ => {
                "its terms are much larger than their sum, or the weights of a channel differ too \
                  much in size; train with a smaller learning rate or weight decay"
                    .into()
            }
        }
    }

    /// A feature that gets few of the steps of its input, or whose values do.
    fn input_cause(&self, at: usize, tensor: TensorId, wanted: f64) -> Option<String> {
        let port: &Port = self.graph.inputs.get(at)?;
        let features = self.noise.inputs.get(at)?;
        let quantization = self.graph.tensor(tensor).quantization.as_ref();
        let (single, _) = quantization.and_then(Quantization::single)?;
        let step = |feature: usize| match &port.steps {
            Some(steps) => steps.of(feature).0,
            None => single,
        };
        let spread = |index: usize| {
            let range = features[index].range;
            f64::from(range.hi) - f64::from(range.lo)
        };
        let steps = |index: usize| spread(index) / f64::from(step(index));
        let deviation = |index: usize| features[index].deviation / f64::from(step(index));
        let varying = || (0..features.len()).filter(|&index| spread(index) > 0.0);
        let least = varying().min_by(|&a, &b| steps(a).total_cmp(&steps(b)))?;
        if steps(least) < FEW_STEPS {
            return Some(format!(
                "feature {least} of input '{}' varies from {} to {}, which is {:.1} of the steps that \
                 all its features share; give them alike size, or subtract mean and divide by \
                 deviation in the model",
                port.name,
                features[least].range.lo,
                features[least].range.hi,
                steps(least)
            ));
        }
        let mut moved = varying().filter(|&index| features[index].deviation > 0.0);
        let alone = |index: usize| 10.0 * libm::log10(12.0 * deviation(index) * deviation(index));
        let lost = moved.find(|&index| alone(index) < wanted)?;
        Some(format!(
            "feature {lost} of input '{}' reaches from {} to {} in calibration, but deviates by {:.4} \
             only: few large values take the steps of all others; look for outliers among the samples",
            port.name, features[lost].range.lo, features[lost].range.hi, features[lost].deviation
        ))
    }

    /// Few large values that take the steps of all others.
    fn range_cause(&self, index: usize, wanted: f64) -> Option<String> {
        let power = self.noise.layers.get(index)?;
        let tensor = self.layers.get(index)?.gives?;
        let quantization = self.graph.tensor(tensor).quantization.as_ref();
        let (scale, zero) = quantization.and_then(Quantization::single)?;
        let step = f64::from(scale);
        let alone = 10.0 * libm::log10(power.signal / (power.count * step * step / 12.0));
        (alone < wanted + 3.0).then(|| {
            let end = |byte: i32| f64::from(byte - zero) * step;
            format!(
                "its values reach from {:.4} to {:.4} in calibration, but their root mean square is \
                 {:.4}: few large values take the steps of all others; look for outliers among the \
                 samples, or limit it with Clip",
                end(-128),
                end(127),
                libm::sqrt(power.signal / power.count)
            )
        })
    }
}
