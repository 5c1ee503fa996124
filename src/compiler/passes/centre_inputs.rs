//! Inputs whose values lie far from 0, or whose features differ much in size, are stored in steps of
//! their own (numerics N4); the factors and offsets at the head of the graph go into these.

use tinsmith_build_job::Samples;

use super::affine_map::Map;
use crate::ir::{Graph, Node, NodeId, Origin, Patch, Port, Quantization, Range, Steps, Tensor};
use crate::ir::{Op, TensorId};
use crate::quantize;

/// A feature that gets fewer steps than this of the 255 is stored badly.
const FEW_STEPS: f64 = 32.0;
/// Most features with a scale each.
const MAX_SCALES: usize = 512;
/// The least offset, in steps, that becomes a zero point: the steps grow by at most a third.
const LEAST_OFFSET: f64 = 3.0;
/// Steps between 0 and the values, at most: quantizing has to be exact in f32.
const FARTHEST: f64 = (1 << 20) as f64;

/// The graph with inputs in their best steps. Moves of the inputs are settled before.
pub(super) fn centre(graph: &mut Graph, samples: &Samples) {
    for index in 0..graph.inputs.len() {
        let Some(port) = graph.inputs.get(index).filter(|port| port.steps.is_none()) else {
            continue;
        };
        let ranges = features(graph, index, samples);
        let head = Head::of(graph, port);
        let Some((steps, rest)) = head.steps(graph, &ranges) else {
            continue;
        };
        if let Some(patch) = head.patch(graph, index, &steps, &rest) {
            patch.apply(graph);
            graph.inputs[index].steps = Some(steps);
        }
    }
}

/// The range of each feature of an input, an index of the last axis as stored.
pub(crate) fn features(graph: &Graph, index: usize, samples: &Samples) -> Vec<Range> {
    let tensor = graph
        .inputs
        .get(index)
        .map(|port| graph.tensor(port.tensor));
    let last = tensor.and_then(|tensor| tensor.shape.last()).copied();
    let none = Range {
        lo: f32::INFINITY,
        hi: f32::NEG_INFINITY,
    };
    let mut ranges = vec![none; last.unwrap_or(1).max(1)];
    for sample in samples.iter() {
        let parts = graph.parts(sample);
        let Some((port, part)) = parts.get(index) else {
            continue;
        };
        let features = ranges.len();
        for (at, x) in port.outside(part).enumerate() {
            let range = &mut ranges[at % features];
            range.lo = range.lo.min(x);
            range.hi = range.hi.max(x);
        }
    }
    ranges
}

fn joined(ranges: &[Range]) -> Range {
    let lo = ranges
        .iter()
        .fold(f32::INFINITY, |lo, range| lo.min(range.lo));
    let hi = ranges
        .iter()
        .fold(f32::NEG_INFINITY, |hi, range| hi.max(range.hi));
    Range { lo, hi }
}

fn spread(range: &Range) -> f64 {
    f64::from(range.hi) - f64::from(range.lo)
}

/// The step of a feature that varies.
fn step(range: &Range) -> Option<f64> {
    let size = f64::from(range.lo.abs().max(range.hi.abs()));
    let spread = spread(range);
    (spread > 0.0).then(|| (spread / 255.0).max(size / FARTHEST))
}

/// The step of a feature that never changed, which counts as much as that of the heaviest other one,
/// and the value in the middle, which is a whole number of steps.
fn constant(value: f64, wanted: f64) -> (f64, f64) {
    let size = value.abs();
    let steps = match wanted.is_normal() {
        true => (size / wanted).ceil().min(FARTHEST),
        false => 255.0,
    };
    match (size > 0.0, wanted.is_normal()) {
        (true, _) => (size / steps, value),
        (false, true) => (wanted, 0.0),
        (false, false) => (1.0, 0.0),
    }
}

/// Whether each feature that varies gets enough steps of this size.
fn enough(ranges: &[Range], step: f64) -> bool {
    let mut spreads = ranges.iter().map(spread).filter(|&spread| spread > 0.0);
    spreads.all(|spread| spread >= FEW_STEPS * step)
}

/// An input with the maps that follow it.
struct Head {
    maps: Vec<NodeId>,
    map: Map,
    /// What the maps give; the input's tensor if there are none.
    end: TensorId,
    /// The only reader of that.
    reader: Option<Node>,
}

impl Head {
    fn of(graph: &Graph, port: &Port) -> Self {
        let mut head = Self {
            maps: Vec::new(),
            map: Map::identity(),
            end: port.tensor,
            reader: None,
        };
        while graph.is_private(head.end) && !graph.tensor(head.end).is_imported() {
            let reader = graph.consumers(head.end).first();
            let Some((id, node)) = reader.and_then(|&id| Some((id, graph.node(id)?))) else {
                break;
            };
            let map = Map::of(graph, node).filter(Map::is_unlimited);
            let Some(map) = map.and_then(|map| head.map.then(&map)) else {
                head.reader = (node.inputs.first() == Some(&head.end)).then(|| node.clone());
                break;
            };
            head.maps.push(id);
            head.map = map;
            let Some(output) = Graph::only_output(node) else {
                break;
            };
            head.end = output;
        }
        head
    }

    fn reads_linearly(&self) -> bool {
        self.reader
            .as_ref()
            .is_some_and(|node| node.op.filters().is_some())
    }

    fn is_padded(&self) -> bool {
        self.reader.as_ref().is_some_and(|node| node.op.is_padded())
    }

    /// Steps for the input, and the map that is left behind it; none if it is well as it is.
    fn steps(&self, graph: &Graph, ranges: &[Range]) -> Option<(Steps, Map)> {
        let all = joined(ranges);
        let finite = all.lo.is_finite() && all.hi.is_finite();
        let fits = self.map.is_uniform() || self.map.width() == ranges.len();
        if !finite || !fits || self.map.is_degenerate() {
            return None;
        }
        let fine = enough(ranges, quantize::activation(all).0.into());
        let mapped = !self.maps.is_empty();
        let folds = self.reads_linearly() && (!self.is_padded() || self.map.keeps_zero());
        let moved = self
            .reader
            .as_ref()
            .is_some_and(|node| super::is_move(&node.op));
        match (fine, mapped) {
            (true, false) => None,
            (true, true) if folds || self.map.keeps_zero() => None,
            (false, false) if moved => self.free(graph, ranges, true),
            (false, false) if self.is_padded() || !self.reads_linearly() => None,
            _ if self.is_padded() => self.padded(ranges),
            _ => self.free(graph, ranges, false),
        }
    }

    /// The whole range of each feature, or of all, in 255 steps.
    fn free(&self, graph: &Graph, ranges: &[Range], alike: bool) -> Option<(Steps, Map)> {
        let all = joined(ranges);
        let together = [all];
        let each = if alike || enough(ranges, spread(&all) / 255.0) || ranges.len() > MAX_SCALES {
            &together[..]
        } else {
            ranges
        };
        let varying: Vec<Option<f64>> = each.iter().map(step).collect();
        let weights = self.weights(graph, each.len());
        let weight = |index: usize| Some(self.map.at(index)?.0.abs() * weights[index]);
        let heavy = |(index, step): (usize, &Option<f64>)| Some((index, (*step)? * weight(index)?));
        let heaviest = varying.iter().enumerate().filter_map(heavy);
        let heaviest = heaviest.max_by(|a, b| a.1.total_cmp(&b.1));
        let (mut scale, mut zero) = (Vec::new(), Vec::new());
        for (index, range) in each.iter().enumerate() {
            let wanted = heaviest.map_or(0.0, |(_, most)| most) / weight(index)?;
            let (step, lowest) = match varying[index] {
                Some(step) => (step, f64::from(range.lo) + 128.0 * step),
                None => constant(range.lo.into(), wanted),
            };
            let step = step as f32;
            let step = if step.is_normal() { step } else { 1.0 };
            scale.push(step);
            zero.push((-lowest / f64::from(step)).round_ties_even() as i32);
        }
        // What weighs most is exact in floats too, where it is stored around 0.
        let first = heaviest.map_or(0, |(index, _)| index);
        let inside = |zero: &&i32| (-128..128).contains(*zero) || each.len() == 1;
        let at = zero
            .get(first)
            .filter(inside)
            .map_or(0, |zero| (*zero).clamp(-128, 127));
        let steps = Steps { scale, zero, at };
        let back = steps.to_outside();
        let rest = Map::new(back).then(&self.map)?;
        Some((steps, rest))
    }

    /// How much the reader makes of each feature at most.
    fn weights(&self, graph: &Graph, features: usize) -> Vec<f64> {
        let mut most = vec![0.0_f64; features];
        if let Some(node) = &self.reader
            && let Some(filters) = node.op.filters()
            && let Some(tensor) = node.inputs.get(1).map(|&id| graph.tensor(id))
            && filters.inputs(&tensor.shape) == features
        {
            for (index, &w) in tensor.f32s().unwrap_or_default().iter().enumerate() {
                let most = &mut most[filters.input(&tensor.shape, index)];
                *most = most.max(f64::from(w).abs());
            }
        }
        most.iter()
            .map(|&w| if w > 0.0 { w } else { 1.0 })
            .collect()
    }

    /// Steps in which 0 behind the maps is a stored value, so that only a factor is left.
    fn padded(&self, ranges: &[Range]) -> Option<(Steps, Map)> {
        let features = self.map.width();
        let range = |index| match features {
            1 => joined(ranges),
            _ => ranges[index],
        };
        // What the maps give, with the sign of their factor taken away.
        let given = (0..features).map(|index| {
            let (factor, offset) = self.map.at(index)?;
            let end = |x: f32| ((f64::from(x) * factor + offset) * factor.signum()) as f32;
            let Range { lo, hi } = range(index);
            let (one, other) = (end(lo), end(hi));
            Some(Range {
                lo: one.min(other),
                hi: one.max(other),
            })
        });
        let (step, at) = quantize::activation(joined(&given.collect::<Option<Vec<_>>>()?));
        let (mut scale, mut zero, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..features {
            let (factor, offset) = self.map.at(index)?;
            let wanted = f64::from(step) / factor.abs();
            let away = (offset / (factor * wanted)).trunc();
            if offset != 0.0 && !(LEAST_OFFSET..=FARTHEST).contains(&away.abs()) {
                return None;
            }
            let size = match offset == 0.0 {
                true => wanted as f32,
                false => (offset / (factor * away)).abs() as f32,
            };
            if !size.is_normal() {
                return None;
            }
            scale.push(size);
            zero.push(at + away as i32);
            factors.push((factor * f64::from(size), 0.0));
        }
        if features > MAX_SCALES {
            return None;
        }
        Some((Steps { scale, zero, at }, Map::new(factors)))
    }

    /// The input in these steps, with `rest` behind it instead of the maps.
    fn patch(&self, graph: &Graph, index: usize, steps: &Steps, rest: &Map) -> Option<Patch> {
        let port = graph.inputs.get(index)?;
        let mut patch = Patch::new(graph);
        let input = graph.tensor(port.tensor);
        let stored = patch.tensor(Tensor {
            quantization: Some(Quantization::per_tensor(1.0, steps.at, Origin::Fixed)),
            ..input.clone()
        });
        let mut sources = Vec::new();
        for &id in &self.maps {
            sources.extend(graph.node(id)?.sources.iter().cloned());
            patch.remove(id);
        }
        patch.input(index, stored, port.order.clone());
        let (op, constants): (Op, _) = rest.operation(&mut patch)?;
        patch.node(Node {
            op,
            inputs: [vec![stored], constants].concat(),
            outputs: vec![self.end],
            sources,
        });
        Some(patch)
    }
}
