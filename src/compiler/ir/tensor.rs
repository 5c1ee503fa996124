//! Tensors: shape, layout, element type, quantization and role.

use std::borrow::Cow;
use std::sync::Arc;

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DType {
    /// Two to a byte.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no operator of ONNX brings it yet")
    )]
    I4,
    /// Quantized activations and weights.
    I8,
    /// Quantized activations of sensitive layers.
    I16,
    /// Biases.
    I32,
    /// Before quantization.
    F32,
    /// Shapes and axes.
    I64,
    /// Masks.
    Bool,
}

impl DType {
    /// Bytes that so many elements take.
    pub(crate) fn bytes(self, elements: usize) -> usize {
        match self {
            Self::I4 => elements.div_ceil(2),
            Self::I8 | Self::Bool => elements,
            Self::I16 => elements.saturating_mul(2),
            Self::I32 | Self::F32 => elements.saturating_mul(4),
            Self::I64 => elements.saturating_mul(8),
        }
    }

    /// Whether real values may be stored in it, by a scale and a zero point.
    pub(crate) fn is_quantized(self) -> bool {
        matches!(self, Self::I4 | Self::I8 | Self::I16 | Self::I32)
    }
}

/// In which order the elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row-major in the order of the ONNX file.
    Plain,
    /// Row-major with the channel last.
    ChannelsLast,
}

/// Where quantization parameters came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Measured on the calibration set.
    Calibrated,
    /// Written in the model file; never changed and never fused across.
    Imported,
    /// Set by the operator, like a softmax's 1/256.
    Fixed,
}

/// Real value = (stored - zero) * scale, per tensor or per index of one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantization {
    /// One scale, or one per index of `axis`.
    pub scale: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero: Vec<i32>,
    /// The axis that the parameters run along, none for one pair for the whole tensor.
    pub axis: Option<usize>,
    /// Where they came from.
    pub origin: Origin,
}

impl Quantization {
    /// One scale and zero point for the whole tensor.
    pub(crate) fn per_tensor(scale: f32, zero: i32, origin: Origin) -> Self {
        Self {
            scale: vec![scale],
            zero: vec![zero],
            axis: None,
            origin,
        }
    }

    /// Scale and zero point, if there is one pair for the whole tensor.
    pub(crate) fn single(&self) -> Option<(f32, i32)> {
        match (self.scale.as_slice(), self.zero.as_slice()) {
            (&[scale], &[zero]) => Some((scale, zero)),
            _ => None,
        }
    }

    /// Scale and zero point of the element with this index in a tensor of this shape.
    fn of(&self, shape: &[usize], index: usize) -> (f32, i32) {
        let at = match self.axis {
            Some(axis) if self.scale.len() > 1 => {
                let inner: usize = shape.iter().skip(axis + 1).product();
                (index / inner.max(1)) % self.scale.len()
            }
            _ => 0,
        };
        let scale = self.scale.get(at).copied().unwrap_or(1.0);
        (scale, self.zero.get(at).copied().unwrap_or(0))
    }
}

/// Elements of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// 32-bit floats.
    F32(Arc<[f32]>),
    /// 64-bit integers: shapes, axes.
    I64(Arc<[i64]>),
    /// Quantized weights, of 8 bits or 4; masks.
    I8(Arc<[i8]>),
    /// Quantized constants of 16 bits.
    I16(Arc<[i16]>),
    /// Quantized biases.
    I32(Arc<[i32]>),
}

/// What a tensor is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Role {
    /// Computed at run time.
    Activation,
    /// Known at compile time.
    Constant(Data),
    /// Kept from one inference to the next, with its value at reset.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no operator of ONNX brings it yet")
    )]
    State(Data),
}

/// A value in the graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// Name in the ONNX file, or derived from one.
    pub name: String,
    /// Extents, including a batch of 1 where ONNX has one.
    pub shape: Vec<usize>,
    /// Storage order.
    pub layout: Layout,
    /// Element type.
    pub dtype: DType,
    /// Quantization, if the elements are quantized.
    pub quantization: Option<Quantization>,
    /// Activation, constant or state.
    pub role: Role,
}

impl Tensor {
    /// A float activation.
    pub(crate) fn activation(name: impl Into<String>, shape: Vec<usize>) -> Self {
        Self {
            name: name.into(),
            shape,
            layout: Layout::Plain,
            dtype: DType::F32,
            quantization: None,
            role: Role::Activation,
        }
    }

    /// A float constant.
    pub(crate) fn constant(name: impl Into<String>, shape: Vec<usize>, data: Vec<f32>) -> Self {
        Self {
            role: Role::Constant(Data::F32(data.into())),
            ..Self::activation(name, shape)
        }
    }

    /// An integer constant.
    pub(crate) fn constant_i64(name: impl Into<String>, shape: Vec<usize>, data: Vec<i64>) -> Self {
        Self {
            dtype: DType::I64,
            role: Role::Constant(Data::I64(data.into())),
            ..Self::activation(name, shape)
        }
    }

    /// Number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes that the elements take.
    pub(crate) fn bytes(&self) -> usize {
        self.dtype.bytes(self.elements())
    }

    /// The elements of a constant, or those of a state at reset.
    pub(crate) fn data(&self) -> Option<&Data> {
        match &self.role {
            Role::Activation => None,
            Role::Constant(data) | Role::State(data) => Some(data),
        }
    }

    /// The floats of a constant that is not quantized.
    pub(crate) fn f32s(&self) -> Option<&[f32]> {
        match &self.role {
            Role::Constant(Data::F32(data)) => Some(data),
            _ => None,
        }
    }

    /// The integers of a constant.
    pub(crate) fn i64s(&self) -> Option<&[i64]> {
        match &self.role {
            Role::Constant(Data::I64(data)) => Some(data),
            _ => None,
        }
    }

    /// The real values of [`Self::data`], none of shapes and axes.
    pub(crate) fn real(&self) -> Option<Cow<'_, [f32]>> {
        let stored: Vec<i32> = match self.data()? {
            Data::F32(data) => return Some(Cow::Borrowed(data)),
            Data::I64(_) => return None,
            Data::I8(data) => data.iter().map(|&v| v.into()).collect(),
            Data::I16(data) => data.iter().map(|&v| v.into()).collect(),
            Data::I32(data) => data.to_vec(),
        };
        let quantization = self.quantization.as_ref()?;
        let real = stored.into_iter().enumerate().map(|(index, stored)| {
            let (scale, zero) = quantization.of(&self.shape, index);
            (f64::from(stored - zero) * f64::from(scale)) as f32
        });
        Some(Cow::Owned(real.collect()))
    }

    /// Whether the value is known at compile time.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self.role, Role::Constant(_))
    }

    /// Whether the value is kept from one run to the next.
    pub(crate) fn is_state(&self) -> bool {
        matches!(self.role, Role::State(_))
    }

    /// Whether the file gave scale and zero point, which are neither changed nor fused across.
    pub(crate) fn is_imported(&self) -> bool {
        self.quantization
            .as_ref()
            .is_some_and(|q| q.origin == Origin::Imported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_element_type() {
        let sizes = [
            (DType::I4, 3),
            (DType::I8, 5),
            (DType::I16, 10),
            (DType::I32, 20),
            (DType::F32, 20),
            (DType::I64, 40),
            (DType::Bool, 5),
        ];
        for (dtype, bytes) in sizes {
            let tensor = Tensor {
                dtype,
                ..Tensor::activation("t", vec![5])
            };
            assert_eq!(tensor.bytes(), bytes, "{dtype:?}");
        }
    }

    #[test]
    fn real_values_by_channel() {
        let quantized = |axis| Tensor {
            dtype: DType::I4,
            quantization: Some(Quantization {
                scale: vec![0.5, 2.0],
                zero: vec![0, 1],
                axis: Some(axis),
                origin: Origin::Imported,
            }),
            role: Role::Constant(Data::I8([1, 2, 3, 4].into())),
            ..Tensor::activation("w", vec![2, 2])
        };
        let first = quantized(0);
        assert_eq!(first.real().as_deref(), Some(&[0.5, 1.0, 4.0, 6.0][..]));
        assert_eq!(
            quantized(1).real().as_deref(),
            Some(&[0.5, 2.0, 1.5, 6.0][..])
        );
        assert!(first.is_imported() && first.f32s().is_none());
    }
}
