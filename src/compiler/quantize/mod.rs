//! From floats to int8: scales for activations from calibration, per-channel weights.

mod calibrate;
mod padding;
mod weights;

use crate::ir::{DType, Graph, Node, Op, Origin, Quantization, Range, ScaleRule, TensorId};
pub(crate) use calibrate::{calibrate, threads};
pub(crate) use padding::include as include_padding;

/// Scale and zero point of an activation whose values were in `range` (numerics N4).
pub(crate) fn activation(range: Range) -> (f32, i32) {
    let (lo, hi) = (f64::from(range.lo.min(0.0)), f64::from(range.hi.max(0.0)));
    let scale = ((hi - lo) / 255.0) as f32;
    // Nothing but zeros, or a spread below what f32 can divide by.
    let scale = if scale < f32::MIN_POSITIVE {
        1.0
    } else {
        scale
    };
    let zero = (-128.0 - lo / f64::from(scale))
        .round_ties_even()
        .clamp(-128.0, 127.0);
    (scale, zero as i32)
}

/// Gives every activation and state its quantization, then quantizes weights and biases. What the
/// file brought quantized stays as it is.
pub(crate) fn quantize(graph: &mut Graph, ranges: &[Option<Range>]) -> Result<(), String> {
    let given = graph.inputs.iter().map(|port| port.tensor);
    let states = graph.states.iter().map(|state| state.tensor);
    for id in given.chain(states).collect::<Vec<_>>() {
        let quantization = calibrated(graph, ranges, id, None)?;
        store(graph, id, quantization);
    }
    for node_id in graph.order() {
        let Some(node) = graph.node(node_id) else {
            continue;
        };
        let found: Vec<(TensorId, Quantization)> = node
            .outputs
            .iter()
            .enumerate()
            .map(|(index, &output)| {
                let quantization = quantization(graph, ranges, node, (index, output))?;
                Ok((output, quantization))
            })
            .collect::<Result<_, String>>()?;
        for (output, quantization) in found {
            store(graph, output, quantization);
        }
    }
    for node_id in graph.order() {
        weights::quantize(graph, node_id)?;
    }
    Ok(())
}

fn store(graph: &mut Graph, id: TensorId, quantization: Quantization) {
    let tensor = graph.tensor_mut(id);
    if !tensor.is_imported() {
        tensor.quantization = Some(quantization);
        tensor.dtype = DType::I8;
    }
}

fn quantization(
    graph: &Graph,
    ranges: &[Option<Range>],
    node: &Node,
    (index, output): (usize, TensorId),
) -> Result<Quantization, String> {
    match node.op.scale_rule() {
        ScaleRule::Fixed { scale, zero } => {
            Ok(Quantization::per_tensor(scale, zero, Origin::Fixed))
        }
        ScaleRule::OfInput(index) => of_input(graph, node, index),
        ScaleRule::Scaled { input, factor } => {
            let mut found = of_input(graph, node, input)?;
            for scale in &mut found.scale {
                *scale = (f64::from(*scale) * f64::from(factor)) as f32;
            }
            found.origin = Origin::Calibrated;
            Ok(found)
        }
        ScaleRule::Calibrated => calibrated(graph, ranges, output, Some((&node.op, index))),
    }
}

fn of_input(graph: &Graph, node: &Node, index: usize) -> Result<Quantization, String> {
    let input = node.inputs.get(index).map(|&id| graph.tensor(id));
    let found = input.and_then(|tensor| tensor.quantization.clone());
    found.ok_or_else(|| format!("the input of {} is not quantized", node.op.name()))
}

/// From the range that calibration saw of a tensor, and what the operation that gives it says of it.
fn calibrated(
    graph: &Graph,
    ranges: &[Option<Range>],
    id: TensorId,
    of: Option<(&Op, usize)>,
) -> Result<Quantization, String> {
    if let Some(imported) = &graph.tensor(id).quantization {
        return Ok(imported.clone());
    }
    let Some(seen) = ranges.get(id.0).copied().flatten() else {
        return Err(format!(
            "tensor {} was not calibrated",
            graph.tensor(id).name
        ));
    };
    let range = of.map_or(seen, |(op, index)| op.range(index, seen));
    let (scale, zero) = activation(range);
    Ok(Quantization::per_tensor(scale, zero, Origin::Calibrated))
}

#[cfg(test)]
mod tests {
    use tinsmith_build_job::Samples;

    use super::*;
    use crate::ir::eval::Evaluator;
    use crate::ir::{Clamp, Data, Op, Port, Role, Tensor};
    use crate::operators::{FullyConnected, Limit};

    /// x, a layer with weights of 4 bits, limits: weights and first result have scales of the file.
    #[test]
    fn what_the_file_brought_quantized_stays() {
        let mut graph = Graph::default();
        let given = |scale| Some(Quantization::per_tensor(scale, 3, Origin::Imported));
        let x = graph.add_tensor(Tensor::activation("x", vec![1, 2]));
        let stored = [7, -8, 1, 2, -1, 0];
        let w = graph.add_tensor(Tensor {
            dtype: DType::I4,
            quantization: Some(Quantization {
                scale: vec![0.5, 0.25, 2.0],
                zero: vec![0; 3],
                axis: Some(0),
                origin: Origin::Imported,
            }),
            role: Role::Constant(Data::I8(stored.into())),
            ..Tensor::activation("w", vec![3, 2])
        });
        let b = graph.add_tensor(Tensor::constant("b", vec![3], vec![1.0, -1.0, 0.0]));
        let y = graph.add_tensor(Tensor {
            dtype: DType::I8,
            quantization: given(0.125),
            ..Tensor::activation("y", vec![1, 3])
        });
        let limited = graph.add_tensor(Tensor::activation("limited", vec![1, 3]));
        let node = |op: Op, inputs, output| Node {
            op,
            inputs,
            outputs: vec![output],
            sources: Vec::new(),
        };
        let clamp = Clamp::NONE;
        graph.add_node(node(FullyConnected { clamp }.into(), vec![x, w, b], y));
        let clamp = Clamp::RELU;
        graph.add_node(node(Limit { clamp }.into(), vec![y], limited));
        graph.inputs.push(Port::new("x", vec![1, 2], x));
        graph.outputs.push(Port::new("y", vec![1, 3], limited));
        let samples = Samples::new(vec![2], vec![1.0, 2.0, -1.0, 0.5]);

        let mut evaluator = Evaluator::new(&graph);
        evaluator.run(&[1.0, 2.0]);
        assert_eq!(
            evaluator.value(y),
            [3.5 - 8.0 + 1.0, 0.25 + 1.0 - 1.0, -2.0]
        );

        crate::passes::optimize(&mut graph, None, &mut |_| Ok(())).unwrap();
        assert_eq!(
            graph.order().len(),
            2,
            "nothing fuses across the file's scale"
        );
        let ranges = calibrate(&graph, &samples).unwrap();
        quantize(&mut graph, &ranges).unwrap();
        assert_eq!(graph.tensor(y).quantization, given(0.125));
        let (_, layer) = graph.producer(y).unwrap();
        let weights = graph.tensor(layer.inputs[1]);
        assert_eq!(weights.data(), Some(&Data::I8(stored.into())));
        let scales = &weights.quantization.as_ref().unwrap().scale;
        assert_eq!(scales.as_slice(), [0.5, 0.25, 2.0]);
        let s_in = graph.tensor(x).quantization.as_ref().unwrap().scale[0];
        let bias = (1.0 / (f64::from(s_in) * 0.5)).round() as i32;
        let Some(Data::I32(biases)) = graph.tensor(layer.inputs[2]).data() else {
            panic!()
        };
        assert_eq!(biases[0], bias);
    }

    #[test]
    fn activation_scale_holds_zero_exactly() {
        assert_eq!(activation(Range { lo: 0.0, hi: 255.0 }), (1.0, -128));
        assert_eq!(
            activation(Range { lo: -1.0, hi: 0.0 }),
            ((1.0_f64 / 255.0) as f32, 127)
        );
        assert_eq!(activation(Range { lo: 3.0, hi: 51.0 }).1, -128);
        assert_eq!(activation(Range { lo: 0.0, hi: 0.0 }), (1.0, -128));
    }
}
