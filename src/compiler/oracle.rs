//! A second opinion on every shape and value, by tract, where tract can load the graph.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb;
use tract_onnx::prelude::*;

/// tract's typed graph.
pub(crate) struct Typed {
    model: TypedModel,
    shapes: HashMap<String, Vec<usize>>,
    integers: HashMap<String, Vec<i64>>,
}

/// tract panics on some inputs; a panic becomes an error like any other.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}").chars().take(400).collect()),
        Err(_) => Err("shape inference gave up".into()),
    }
}

impl Typed {
    /// Infers the shapes of a checked file. The error is why tract does not load it.
    pub(crate) fn new(proto: &pb::ModelProto) -> Result<Self, String> {
        let typed = guarded(|| {
            let onnx = tract_onnx::onnx().with_ignore_value_info(true);
            onnx.parse(proto, None)?.model.into_typed()
        })?;
        let (mut shapes, mut integers) = (HashMap::new(), HashMap::new());
        let mut note = |name: &str, fact: &TypedFact| {
            if let Some(shape) = fact.shape.as_concrete() {
                shapes.insert(name.to_owned(), shape.to_vec());
            }
            if let Some(konst) = &fact.konst
                && konst.len() <= 1 << 12
                && let Ok(cast) = konst.cast_to::<i64>()
                && let Ok(view) = cast.try_as_plain_ram()
                && let Ok(values) = view.as_slice::<i64>()
                && !konst.datum_type().is_float()
            {
                integers.insert(name.to_owned(), values.to_vec());
            }
        };
        for node in typed.nodes() {
            for (slot, outlet) in node.outputs.iter().enumerate() {
                match typed.outlet_label(OutletId::new(node.id, slot)) {
                    Some(label) => note(label, &outlet.fact),
                    None if slot == 0 && node.inputs.is_empty() => note(&node.name, &outlet.fact),
                    None => {}
                }
            }
        }
        Ok(Self {
            model: typed,
            shapes,
            integers,
        })
    }

    /// The shape of an ONNX tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    /// The value of an integer tensor that could be computed from shapes.
    pub(crate) fn integers(&self, name: &str) -> Option<&[i64]> {
        self.integers.get(name).map(Vec::as_slice)
    }

    /// Optimises the graph so that it gives all tensors in `names`.
    pub(crate) fn oracle(&self, names: &[String]) -> Result<Oracle, String> {
        guarded(|| {
            let mut outlets = Vec::new();
            let mut kept = Vec::new();
            let labels: HashMap<&str, OutletId> = self
                .model
                .nodes()
                .iter()
                .flat_map(|n| (0..n.outputs.len()).map(move |slot| OutletId::new(n.id, slot)))
                .filter_map(|outlet| Some((self.model.outlet_label(outlet)?, outlet)))
                .collect();
            for name in names {
                if let Some(&outlet) = labels.get(name.as_str()) {
                    outlets.push(outlet);
                    kept.push(name.clone());
                }
            }
            let mut model = self.model.clone();
            model.select_output_outlets(&outlets)?;
            let runnable = model.into_optimized()?.into_runnable()?;
            Ok(Oracle {
                runnable,
                names: kept,
            })
        })
    }
}

/// An optimised tract model that gives every tensor asked for.
pub(crate) struct Oracle {
    runnable: Arc<TypedRunnableModel>,
    names: Vec<String>,
}

impl Oracle {
    /// How many tensors are compared.
    pub(crate) fn tensors(&self) -> usize {
        self.names.len()
    }

    /// Compares our values (by tensor name, in ONNX order) with tract's on the same inputs, each with
    /// its shape. Returns what is different about the first tensor, in the order of the graph, that
    /// differs by more than float rounding explains. The error is why tract could not run.
    pub(crate) fn compare(
        &self,
        inputs: &[(&[usize], &[f32])],
        ours: &HashMap<&str, &[f32]>,
    ) -> Result<Option<String>, String> {
        let outputs = guarded(|| {
            let inputs = inputs
                .iter()
                .map(|(shape, values)| Ok(Tensor::from_shape(shape, values)?.into()))
                .collect::<TractResult<TVec<TValue>>>()?;
            self.runnable.run(inputs)
        })?;
        for (name, output) in self.names.iter().zip(&outputs) {
            let Some(ours) = ours.get(name.as_str()) else {
                continue;
            };
            let view = output.try_as_plain_ram().map_err(|e| e.to_string())?;
            let theirs = view.as_slice::<f32>().map_err(|e| e.to_string())?;
            if theirs.len() != ours.len() {
                let (ours, theirs) = (ours.len(), theirs.len());
                return Ok(Some(format!(
                    "tensor {name} has {ours} elements by our evaluator but {theirs} by tract"
                )));
            }
            let largest = theirs.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
            let worst = ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| (a - b).abs())
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((index, difference)) = worst
                && (difference.is_nan() || difference > 1e-3 * largest)
            {
                let (ours, theirs) = (ours[index], theirs[index]);
                return Ok(Some(format!(
                    "tensor {name} element {index} is {ours} by our evaluator but {theirs} by tract"
                )));
            }
        }
        Ok(None)
    }
}
