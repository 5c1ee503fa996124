//! What lowerings need to know of a planned graph, in the terms of the module format.

use tinsmith_module::build::{self, View};
use tinsmith_module::numerics::Multiplier;

use super::{Backend, BackendError};
use crate::ir::{self, Graph, Layout, Node, Quantization, TensorId};

/// A place in an arena segment of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the segment.
    pub segment: u8,
    /// Offset in it, in bytes.
    pub offset: usize,
}

/// A graph with its places in the module.
pub(crate) struct Context<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Where each tensor lies, by its index; none for constants.
    pub places: &'a [Option<Place>],
    /// Where the memory lies that the backend asked for, if it did.
    pub scratch: Option<Place>,
}

/// A number of the module format.
pub(crate) fn number(value: usize) -> Result<u32, BackendError> {
    u32::try_from(value).map_err(|_| BackendError::Impossible(format!("{value} is too large")))
}

impl Context<'_> {
    /// The error for a tensor without something that it needs.
    pub(crate) fn lacks(&self, tensor: TensorId, what: &'static str) -> BackendError {
        BackendError::Lacks(self.graph.tensor(tensor).name.clone(), what)
    }

    /// The only input or output among `ids`.
    pub(crate) fn operand(
        &self,
        node: &Node,
        ids: &[TensorId],
        index: usize,
    ) -> Result<TensorId, BackendError> {
        ids.get(index).copied().ok_or_else(|| {
            BackendError::Impossible(format!("{} without operand {index}", node.op.name()))
        })
    }

    /// Where a tensor lies.
    pub(crate) fn place(&self, tensor: TensorId) -> Result<Place, BackendError> {
        let place = self.places.get(tensor.0).copied().flatten();
        place.ok_or_else(|| self.lacks(tensor, "place"))
    }

    /// A tensor as height, width and channels.
    pub(crate) fn view(&self, tensor: TensorId) -> Result<View, BackendError> {
        let extents = match *self.graph.tensor(tensor).shape.as_slice() {
            [] => [1, 1, 1],
            [1, h, w, c] => [h, w, c],
            [ref rows @ .., c] => [1, rows.iter().product(), c],
        };
        self.view_as(tensor, extents)
    }

    /// A tensor as one row.
    pub(crate) fn flat(&self, tensor: TensorId) -> Result<View, BackendError> {
        self.view_as(tensor, [1, 1, self.graph.tensor(tensor).elements()])
    }

    /// A tensor as other extents with as many elements.
    pub(crate) fn view_as(
        &self,
        tensor: TensorId,
        [h, w, c]: [usize; 3],
    ) -> Result<View, BackendError> {
        if self.graph.tensor(tensor).dtype != ir::DType::I8 {
            return Err(self.lacks(tensor, "elements of 8 bits"));
        }
        let Place { segment, offset } = self.place(tensor)?;
        Ok(View::dense(
            segment,
            number(offset)?,
            number(h)?,
            number(w)?,
            number(c)?,
        ))
    }

    /// A tensor of a spatial operator: channels last, batch 1.
    pub(crate) fn spatial(&self, tensor: TensorId) -> Result<View, BackendError> {
        let (shape, layout) = {
            let tensor = self.graph.tensor(tensor);
            (tensor.shape.as_slice(), tensor.layout)
        };
        match *shape {
            [1, _, _, _] if layout == Layout::ChannelsLast => self.view(tensor),
            _ => Err(BackendError::Impossible(format!(
                "a spatial operator over a tensor of shape {shape:?}"
            ))),
        }
    }

    /// Scale and zero point of an activation.
    pub(crate) fn scale(&self, tensor: TensorId) -> Result<(f32, i8), BackendError> {
        let quantization = self.graph.tensor(tensor).quantization.as_ref();
        quantization
            .and_then(Quantization::single)
            .and_then(|(scale, zero)| Some((scale, i8::try_from(zero).ok()?)))
            .ok_or_else(|| self.lacks(tensor, "scale"))
    }

    /// Zero point and limits of an output with a fused activation (numerics N6).
    pub(crate) fn clamp(
        &self,
        tensor: TensorId,
        clamp: &ir::Clamp,
    ) -> Result<build::Clamp, BackendError> {
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

    /// Weights, biases and multipliers of a node, with the order of weights that the backend wants.
    pub(crate) fn layer(
        &self,
        node: &Node,
        backend: &dyn Backend,
        input: View,
        output: View,
        clamp: &ir::Clamp,
    ) -> Result<build::Layer, BackendError> {
        let [x, weights, bias] = [0, 1, 2].map(|i| self.operand(node, &node.inputs, i));
        let (x, weights, bias) = (x?, weights?, bias?);
        let ir::Role::Constant(ir::Data::I8(w)) = &self.graph.tensor(weights).role else {
            return Err(self.lacks(weights, "quantized weights"));
        };
        let ir::Role::Constant(ir::Data::I32(b)) = &self.graph.tensor(bias).role else {
            return Err(self.lacks(bias, "quantized bias"));
        };
        let Some(scales) = self.graph.tensor(weights).quantization.as_ref() else {
            return Err(self.lacks(weights, "scales"));
        };
        let (s_in, input_zero_point) = self.scale(x)?;
        let y = self.operand(node, &node.outputs, 0)?;
        let (s_out, _) = self.scale(y)?;
        let multipliers = scales
            .scale
            .iter()
            .map(|&s_w| Multiplier::conv(s_in, s_w, s_out))
            .collect::<Result<_, _>>()?;
        let ordered = match backend.weight_order(self.graph, node) {
            None => w.to_vec(),
            Some(order) => order.iter().filter_map(|&i| w.get(i).copied()).collect(),
        };
        Ok(build::Layer {
            input,
            output,
            input_zero_point,
            clamp: self.clamp(y, clamp)?,
            weights: ordered,
            bias: b.to_vec(),
            multipliers,
        })
    }
}

/// A window in the terms of the module format.
pub(crate) fn window(window: &ir::Window) -> Result<build::Window, BackendError> {
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
