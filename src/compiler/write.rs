//! A planned graph as a module.

use lwm2m_objects::compute::{DType, Task, TensorDescriptor};
use tinsmith_module::build::{GoldenInput, ModuleBuilder, Segment, SegmentKind, TensorSpec};
use tinsmith_module::kernels::STACK_BYTES;

use super::backend::context::number;
use super::backend::{BackendError, Context, Place};
use super::golden;
use super::ir::{self, Graph, Node, NodeId, Port, Quantization, TensorId};
use super::passes;
use super::plan::{ALIGN, Plan, Space};

/// What goes into a module besides the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extras<'a> {
    /// What the output is for.
    pub task: Task,
    /// Class names.
    pub labels: &'a [String],
    /// Golden inputs, of [`golden::steps`] runs each.
    pub golden: &'a [GoldenInput],
    /// Multiply-accumulates of one inference.
    pub macs: u64,
}

/// A record of the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layer {
    /// The step that it belongs to.
    pub step: usize,
    /// The node of the step.
    pub node: NodeId,
    /// The tensor that it computes, if it is one of the graph's.
    pub gives: Option<TensorId>,
}

/// A finished module.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The image.
    pub image: Vec<u8>,
    /// The same with the record that each call stands for in its place: what the specification runs.
    pub reference: Vec<u8>,
    /// Its records.
    pub layers: Vec<Layer>,
    /// Bytes of weights and biases in it.
    pub weights_bytes: u64,
}

/// Writes the module of a quantized and planned graph.
pub(crate) fn write(
    graph: &Graph,
    plan: &Plan,
    extras: &Extras<'_>,
) -> Result<Built, BackendError> {
    let mut builder = ModuleBuilder::new();
    let mut segment = |size: usize, kind| -> Result<u8, BackendError> {
        Ok(builder.segment(Segment {
            size: number(size)?,
            align: ALIGN as u32,
            kind,
        }))
    };
    let scratch = segment(plan.arena_bytes, SegmentKind::Scratch)?;
    let state = match plan.state_bytes {
        0 => None,
        bytes => Some(segment(bytes, SegmentKind::State)?),
    };
    builder.reset(golden::reset(graph));
    let in_module = |space, offset| {
        let segment = match space {
            Space::Scratch => Some(scratch),
            Space::State => state,
        };
        segment.map(|segment| Place { segment, offset })
    };
    let places: Vec<Option<Place>> = (0..graph.tensor_count())
        .map(|index| plan.place(TensorId(index)))
        .map(|place| place.and_then(|(space, offset)| in_module(space, offset)))
        .collect();
    let mut cx = Context {
        graph,
        places: &places,
        scratch: None,
    };
    let (mut weights_bytes, mut layers) = (0, Vec::new());
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(node) = graph.node(step.node) else {
            continue;
        };
        weights_bytes += weight_bytes(graph, node);
        cx.scratch = step.scratch.and_then(|at| in_module(Space::Scratch, at));
        for piece in step.backend.emit(&cx, node)? {
            builder.op(piece.record);
            layers.push(Layer {
                step: index,
                node: step.node,
                gives: piece.gives,
            });
        }
    }
    for port in &graph.inputs {
        builder.input(descriptor(&cx, port, None)?);
    }
    // The task is that of the first output, a reconstruction is of all.
    for (index, port) in graph.outputs.iter().enumerate() {
        let told = index == 0 || extras.task == Task::Reconstruct;
        builder.output(descriptor(&cx, port, told.then_some(extras.task))?);
    }
    for label in extras.labels {
        builder.label(label.as_str());
    }
    builder.stack_bytes(STACK_BYTES);
    builder.macs(extras.macs);
    for golden in extras.golden {
        builder.golden_sequence_from_spec(golden.clone(), golden::steps(graph))?;
    }
    Ok(Built {
        image: builder.finish()?,
        reference: builder.without_calls().finish()?,
        layers,
        weights_bytes,
    })
}

/// Bytes of a node's weights and biases.
pub(crate) fn weight_bytes(graph: &Graph, node: &Node) -> u64 {
    let tensors = node.inputs.iter().map(|&id| graph.tensor(id));
    let quantized = tensors.filter(|tensor| tensor.is_constant() && tensor.dtype.is_quantized());
    quantized.map(|tensor| tensor.bytes() as u64).sum()
}

/// What a device says of an input or output.
fn descriptor(
    cx: &Context<'_>,
    port: &Port,
    task: Option<Task>,
) -> Result<TensorSpec, BackendError> {
    let Some(permutation) = passes::permutation(&port.shape, &port.order) else {
        return Err(cx.lacks(port.tensor, "order that a permutation describes"));
    };
    // Without the batch, which is 1 wherever it is stored.
    let batch = usize::from(port.shape.len() > 1 && port.shape[0] == 1);
    let axes: Vec<usize> = permutation
        .into_iter()
        .filter(|&axis| axis >= batch)
        .collect();
    let shape = axes
        .iter()
        .map(|&axis| number(port.shape[axis]))
        .collect::<Result<_, _>>()?;
    let permutation = axes
        .iter()
        .map(|&axis| u8::try_from(axis - batch))
        .collect::<Result<_, _>>()
        .map_err(|_| BackendError::Impossible("too many axes".into()))?;
    let tensor = cx.graph.tensor(port.tensor);
    let quantization = tensor.quantization.as_ref().and_then(Quantization::single);
    let (scale, zero) = quantization.ok_or_else(|| cx.lacks(port.tensor, "scale"))?;
    let dtype = match tensor.dtype {
        ir::DType::I8 => DType::Int8,
        ir::DType::I16 => DType::Int16,
        ir::DType::I32 => DType::Int32,
        _ => return Err(cx.lacks(port.tensor, "element type of inputs and outputs")),
    };
    let (scales, zero_points) = match &port.steps {
        Some(steps) => (steps.scale.clone(), steps.zero.clone()),
        None => (vec![scale], vec![zero]),
    };
    let axis = match scales.len() {
        1 => None,
        _ => u8::try_from(axes.len().saturating_sub(1)).ok(),
    };
    let Place { segment, offset } = cx.place(port.tensor)?;
    Ok(TensorSpec {
        descriptor: TensorDescriptor {
            name: port.name.clone(),
            dtype,
            shape,
            permutation,
            axis,
            scales,
            zero_points,
            task,
        },
        segment,
        offset: number(offset)?,
    })
}
