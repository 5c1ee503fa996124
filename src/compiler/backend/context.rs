//! What lowerings need to know of a planned graph, in the terms of the module format.

use tinsmith_module::build::{self, View};
use tinsmith_module::numerics::Multiplier;

use super::{Backend, BackendError};
use crate::ir::{self, Graph, Layout, Node, Quantization, TensorId};

/// Largest extent of a view.
const MAX_EXTENT: usize = u16::MAX as usize;
/// Elements of a row when a flat tensor is cut.
const ROW: usize = 1 << 15;

/// Weights, biases and multipliers.
pub(crate) struct Weights {
    /// In the order that the backend wants.
    pub weights: Vec<i8>,
    /// One for each output channel.
    pub bias: Vec<i32>,
    /// One for each output channel.
    pub multipliers: Vec<Multiplier>,
}

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

/// Extents of a flat tensor as one view, if there are some.
fn factors(elements: usize) -> Option<[usize; 3]> {
    let divisor = |n: usize| (1..=n.min(MAX_EXTENT)).rev().find(|&d| n.is_multiple_of(d));
    let channels = divisor(elements)?;
    let width = divisor(elements / channels)?;
    let height = elements / channels / width;
    (height <= MAX_EXTENT).then_some([height, width, channels])
}

/// A flat tensor as pieces that each are one view: first element and extents.
fn pieces(elements: usize) -> Vec<(usize, [usize; 3])> {
    if elements <= MAX_EXTENT {
        return vec![(0, [1, 1, elements])];
    }
    let (rows, rest) = (elements / ROW, elements % ROW);
    let mut pieces = vec![(0, [rows, 1, ROW])];
    if rest > 0 {
        pieces.push((rows * ROW, [1, 1, rest]));
    }
    pieces
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

    fn extents(&self, tensor: TensorId) -> [usize; 3] {
        match *self.graph.tensor(tensor).shape.as_slice() {
            [] => [1, 1, 1],
            [1, h, w, c] => [h, w, c],
            [ref rows @ .., c] => [1, rows.iter().product(), c],
        }
    }

    /// A tensor as height, width and channels.
    pub(crate) fn view(&self, tensor: TensorId) -> Result<View, BackendError> {
        self.view_as(tensor, self.extents(tensor))
    }

    /// A tensor as other extents with as many elements.
    pub(crate) fn view_as(
        &self,
        tensor: TensorId,
        extents: [usize; 3],
    ) -> Result<View, BackendError> {
        self.view_from(tensor, 0, extents)
    }

    /// Elements of a tensor from `first` on.
    pub(crate) fn view_from(
        &self,
        tensor: TensorId,
        first: usize,
        [h, w, c]: [usize; 3],
    ) -> Result<View, BackendError> {
        if self.graph.tensor(tensor).dtype != ir::DType::I8 {
            return Err(self.lacks(tensor, "elements of 8 bits"));
        }
        let Place { segment, offset } = self.place(tensor)?;
        Ok(View::dense(
            segment,
            number(offset + first)?,
            number(h)?,
            number(w)?,
            number(c)?,
        ))
    }

    /// A tensor as one row, or as several of one length if it is too long for that.
    pub(crate) fn flat(&self, tensor: TensorId) -> Result<View, BackendError> {
        let elements = self.graph.tensor(tensor).elements();
        let extents = match elements {
            0..=MAX_EXTENT => Some([1, 1, elements]),
            _ => factors(elements),
        };
        let extents = extents.ok_or_else(|| {
            BackendError::Impossible(format!(
                "a tensor of {elements} elements in one piece, a number without small factors"
            ))
        })?;
        self.view_as(tensor, extents)
    }

    /// Tensors of one shape for an operation that treats every element alike: as they are, or cut
    /// into pieces where they are too long. For each piece its first element and extents.
    pub(crate) fn alike(&self, tensor: TensorId) -> Vec<(usize, [usize; 3])> {
        let extents = self.extents(tensor);
        if extents.iter().all(|&extent| extent <= MAX_EXTENT) {
            return vec![(0, extents)];
        }
        pieces(self.graph.tensor(tensor).elements())
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

    /// Weights, biases and multipliers of a node.
    pub(crate) fn weights(
        &self,
        node: &Node,
        backend: &dyn Backend,
    ) -> Result<Weights, BackendError> {
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
        let (s_in, _) = self.scale(x)?;
        let (s_out, _) = self.scale(self.operand(node, &node.outputs, 0)?)?;
        let multipliers = scales
            .scale
            .iter()
            .map(|&s_w| Multiplier::conv(s_in, s_w, s_out))
            .collect::<Result<_, _>>()?;
        let ordered = match backend.weight_order(self.graph, node) {
            None => w.to_vec(),
            Some(order) => order.iter().filter_map(|&i| w.get(i).copied()).collect(),
        };
        Ok(Weights {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tensors_are_cut() {
        assert_eq!(pieces(65_535), [(0, [1, 1, 65_535])]);
        assert_eq!(pieces(65_536), [(0, [2, 1, 32_768])]);
        assert_eq!(pieces(65_537), [(0, [2, 1, 32_768]), (65_536, [1, 1, 1])]);
        assert_eq!(factors(131_072), Some([1, 4, 32_768]));
        assert_eq!(factors(65_537), None);
    }
}
