//! The portable backend: a plan of records for the resident kernels, one file per operator.

mod add;
mod average_pool;
mod concat;
mod conv;
mod copy;
mod depthwise_conv;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod pad;
mod softmax;

use lwm2m_objects::compute::{DType, Task, TensorDescriptor};
use tinsmith_module::build::{
    self, BuildError, GoldenInput, ModuleBuilder, Segment, SegmentKind, TensorSpec, View,
};
use tinsmith_module::kernels::STACK_BYTES;
use tinsmith_module::numerics::{FactorError, Multiplier};

use crate::ir::{self, Graph, Node, Op, Port, TensorId};
use crate::passes;
use crate::plan::{ALIGN, Plan};

/// Why no module could be written: our fault, not the model's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum BackendError {
    /// A tensor lacks something that an earlier stage must give it.
    #[error("tensor {0} has no {1}")]
    Lacks(String, &'static str),
    /// Something the kernels can't do.
    #[error("{0}")]
    Impossible(String),
    /// A scale out of range.
    #[error("a scale is out of range: {0}")]
    Factor(FactorError),
    /// The writer refused.
    #[error("the module can't be written: {0}")]
    Build(BuildError),
}

impl From<FactorError> for BackendError {
    fn from(error: FactorError) -> Self {
        Self::Factor(error)
    }
}

impl From<BuildError> for BackendError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

/// What goes into a module besides the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extras<'a> {
    /// What the output is for.
    pub task: Task,
    /// Class names.
    pub labels: &'a [String],
    /// Golden inputs.
    pub golden: &'a [GoldenInput],
    /// Multiply-accumulates of one inference.
    pub macs: u64,
}

/// A finished module.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The image.
    pub image: Vec<u8>,
    /// Bytes of weights and biases in it.
    pub weights_bytes: u64,
}

/// Weights, biases and multipliers.
type Weights = (Vec<i8>, Vec<i32>, Vec<Multiplier>);

struct Context<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    segment: u8,
}

/// Writes the module of a quantized and planned graph.
pub(crate) fn build(
    graph: &Graph,
    plan: &Plan,
    extras: &Extras<'_>,
) -> Result<Built, BackendError> {
    let mut builder = ModuleBuilder::new();
    let segment = builder.segment(Segment {
        size: number(plan.arena_bytes)?,
        align: ALIGN as u32,
        kind: SegmentKind::Scratch,
    });
    let cx = Context {
        graph,
        plan,
        segment,
    };
    let mut weights_bytes = 0;
    for &id in &plan.steps {
        let Some(node) = graph.node(id) else { continue };
        weights_bytes += weight_bytes(graph, node);
        builder.op(record(&cx, node)?);
    }
    for port in &graph.inputs {
        builder.input(cx.descriptor(port, None)?);
    }
    for port in &graph.outputs {
        builder.output(cx.descriptor(port, Some(extras.task))?);
    }
    for label in extras.labels {
        builder.label(label.as_str());
    }
    builder.stack_bytes(STACK_BYTES);
    builder.macs(extras.macs);
    for golden in extras.golden {
        builder.golden_from_spec(golden.clone())?;
    }
    Ok(Built {
        image: builder.finish()?,
        weights_bytes,
    })
}

/// Bytes of a node's weights and biases.
pub(crate) fn weight_bytes(graph: &Graph, node: &Node) -> u64 {
    node.inputs
        .iter()
        .map(|&id| match &graph.tensor(id).role {
            ir::Role::Constant(ir::Data::I8(data)) => data.len() as u64,
            ir::Role::Constant(ir::Data::I32(data)) => 4 * data.len() as u64,
            _ => 0,
        })
        .sum()
}

fn record(cx: &Context<'_>, node: &Node) -> Result<build::Op, BackendError> {
    match &node.op {
        Op::Conv { window, clamp } => conv::record(cx, node, window, clamp),
        Op::DepthwiseConv { window, clamp, .. } => depthwise_conv::record(cx, node, window, clamp),
        Op::FullyConnected { clamp } => fully_connected::record(cx, node, clamp),
        Op::Add { clamp } => add::record(cx, node, clamp, add::Sign::Plus),
        Op::Sub { clamp } => add::record(cx, node, clamp, add::Sign::Minus),
        Op::Mul { clamp } => mul::record(cx, node, clamp),
        Op::Map(function) => lookup::record(cx, node, function),
        Op::MaxPool { window } => max_pool::record(cx, node, window),
        Op::AveragePool {
            window,
            include_pad,
        } => average_pool::record(cx, node, window, *include_pad),
        Op::Softmax => softmax::record(cx, node),
        Op::Concat { axis } => concat::record(cx, node, *axis),
        Op::Pad { before, value, .. } => pad::record(cx, node, before, *value),
        Op::Transpose { perm } => copy::record(cx, node, perm),
        Op::Reshape | Op::Affine => Err(BackendError::Impossible(format!(
            "{} reached the backend",
            node.op.name()
        ))),
    }
}

fn number(value: usize) -> Result<u32, BackendError> {
    u32::try_from(value).map_err(|_| BackendError::Impossible(format!("{value} is too large")))
}

impl Context<'_> {
    fn lacks(&self, tensor: TensorId, what: &'static str) -> BackendError {
        BackendError::Lacks(self.graph.tensor(tensor).name.clone(), what)
    }

    /// A tensor as height, width and channels.
    fn view(&self, tensor: TensorId) -> Result<View, BackendError> {
        let extents = match *self.graph.tensor(tensor).shape.as_slice() {
            [] => [1, 1, 1],
            [1, h, w, c] => [h, w, c],
            [ref rows @ .., c] => [1, rows.iter().product(), c],
        };
        self.view_as(tensor, extents)
    }

    /// A tensor as other extents with as many elements.
    fn view_as(&self, tensor: TensorId, extents: [usize; 3]) -> Result<View, BackendError> {
        let offset = self
            .plan
            .offset(tensor)
            .ok_or_else(|| self.lacks(tensor, "place"))?;
        let [h, w, c] = extents;
        Ok(View::dense(
            self.segment,
            number(offset)?,
            number(h)?,
            number(w)?,
            number(c)?,
        ))
    }

    /// A tensor of a spatial operator: rank 4 and batch 1.
    fn spatial(&self, tensor: TensorId) -> Result<View, BackendError> {
        match *self.graph.tensor(tensor).shape.as_slice() {
            [1, _, _, _] => self.view(tensor),
            ref shape => Err(BackendError::Impossible(format!(
                "a spatial operator over a tensor of shape {shape:?}"
            ))),
        }
    }

    /// Scale and zero point of an activation.
    fn scale(&self, tensor: TensorId) -> Result<(f32, i8), BackendError> {
        let quantization = self.graph.tensor(tensor).quantization.as_ref();
        quantization
            .and_then(|q| Some((*q.scale.first()?, i8::try_from(*q.zero.first()?).ok()?)))
            .ok_or_else(|| self.lacks(tensor, "scale"))
    }

    /// Zero point and limits of an output with a fused activation (numerics N6).
    fn clamp(&self, tensor: TensorId, clamp: &ir::Clamp) -> Result<build::Clamp, BackendError> {
        let (scale, zero_point) = self.scale(tensor)?;
        let stored = |limit: f32| {
            let steps = (f64::from(limit) / f64::from(scale)).round_ties_even();
            (f64::from(zero_point) + steps).clamp(-128.0, 127.0) as i8
        };
        let low = if clamp.lo == f32::NEG_INFINITY {
            -128
        } else {
            stored(clamp.lo)
        };
        let high = if clamp.hi == f32::INFINITY {
            127
        } else {
            stored(clamp.hi)
        };
        Ok(build::Clamp {
            zero_point,
            low,
            high,
        })
    }

    /// Weights, biases and multipliers of a node.
    fn weights(&self, node: &Node) -> Result<Weights, BackendError> {
        let (weights, bias) = (node.inputs[1], node.inputs[2]);
        let ir::Role::Constant(ir::Data::I8(w)) = &self.graph.tensor(weights).role else {
            return Err(self.lacks(weights, "quantized weights"));
        };
        let ir::Role::Constant(ir::Data::I32(b)) = &self.graph.tensor(bias).role else {
            return Err(self.lacks(bias, "quantized bias"));
        };
        let Some(scales) = self.graph.tensor(weights).quantization.as_ref() else {
            return Err(self.lacks(weights, "scales"));
        };
        let (s_in, _) = self.scale(node.inputs[0])?;
        let (s_out, _) = self.scale(node.outputs[0])?;
        let multipliers = scales
            .scale
            .iter()
            .map(|&s_w| Multiplier::conv(s_in, s_w, s_out))
            .collect::<Result<_, _>>()?;
        Ok((w.to_vec(), b.to_vec(), multipliers))
    }

    fn descriptor(&self, port: &Port, task: Option<Task>) -> Result<TensorSpec, BackendError> {
        let Some(permutation) = passes::permutation(&port.shape, &port.order) else {
            return Err(self.lacks(port.tensor, "order that a permutation describes"));
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
        let (scale, zero_point) = self.scale(port.tensor)?;
        let offset = self.plan.offset(port.tensor);
        let offset = number(offset.ok_or_else(|| self.lacks(port.tensor, "place"))?)?;
        Ok(TensorSpec {
            descriptor: TensorDescriptor {
                name: port.name.clone(),
                dtype: DType::Int8,
                shape,
                permutation,
                axis: None,
                scales: vec![scale],
                zero_points: vec![i32::from(zero_point)],
                task,
            },
            segment: self.segment,
            offset,
        })
    }
}

fn window(window: &ir::Window) -> Result<build::Window, BackendError> {
    Ok(build::Window {
        kernel_height: number(window.kernel[0])?,
        kernel_width: number(window.kernel[1])?,
        stride_y: number(window.stride[0])?,
        stride_x: number(window.stride[1])?,
        dilation_y: number(window.dilation[0])?,
        dilation_x: number(window.dilation[1])?,
        pad_top: number(window.before[0])?,
        pad_left: number(window.before[1])?,
    })
}
