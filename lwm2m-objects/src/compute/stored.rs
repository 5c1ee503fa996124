//! Samples to stored bytes and back, by a descriptor that passes [`TensorDescriptor::check`].

use std::vec;
use std::vec::Vec;

use super::{TensorDescriptor, WrongLength};

impl TensorDescriptor {
    /// Real numbers in ONNX order to stored bytes: divided by the scale, rounded to the nearest
    /// (half to even), moved by the zero point, saturated; NaN becomes the lowest value.
    ///
    /// # Errors
    /// The sample has another number of values than the tensor.
    pub fn quantize(&self, sample: &[f32]) -> Result<Vec<u8>, WrongLength> {
        if sample.len() != self.values() {
            let (expected, found) = (self.values(), sample.len());
            return Err(WrongLength { expected, found });
        }
        let width = self.dtype.bytes(1);
        let (low, high) = self.dtype.range().unwrap_or_default();
        let mut bytes = Vec::with_capacity(self.bytes());
        for (place, scale) in self.places() {
            let zero = i64::from(self.zero_points[scale]);
            let (min, max) = (
                (i64::from(low) - zero) as f32,
                (i64::from(high) - zero) as f32,
            );
            let real = sample[place] / self.scales[scale];
            let steps = if real.is_nan() {
                min
            } else {
                real.clamp(min, max)
            };
            let stored = (steps.round_ties_even() as i64 + zero).clamp(low.into(), high.into());
            bytes.extend_from_slice(&stored.to_le_bytes()[..width]);
        }
        Ok(bytes)
    }

    /// Stored bytes to real numbers in ONNX order.
    ///
    /// # Errors
    /// Not as many bytes as the tensor has.
    pub fn dequantize(&self, bytes: &[u8]) -> Result<Vec<f32>, WrongLength> {
        if bytes.len() != self.bytes() {
            let (expected, found) = (self.bytes(), bytes.len());
            return Err(WrongLength { expected, found });
        }
        let width = self.dtype.bytes(1);
        let mut values = vec![0.0; self.values()];
        for ((place, scale), stored) in self.places().zip(bytes.chunks(width)) {
            let stored = match *stored {
                [a] => i64::from(a as i8),
                [a, b] => i64::from(i16::from_le_bytes([a, b])),
                [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
                _ => 0,
            };
            values[place] =
                (stored - i64::from(self.zero_points[scale])) as f32 * self.scales[scale];
        }
        Ok(values)
    }

    /// For each stored value in order: its place in the ONNX order, and the index of its scale.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let rank = self.shape.len();
        let shape: Vec<usize> = self.shape.iter().map(|&d| d as usize).collect();
        let axes: Vec<usize> = self.permutation.iter().map(|&p| p.into()).collect();
        let scale_axis = self.axis.map(usize::from);
        let mut onnx_shape = vec![0; rank];
        for (stored, onnx) in axes.iter().enumerate() {
            onnx_shape[*onnx] = shape[stored];
        }
        let mut onnx_stride = vec![1; rank];
        for axis in (0..rank.saturating_sub(1)).rev() {
            onnx_stride[axis] = onnx_stride[axis + 1] * onnx_shape[axis + 1];
        }
        (0..self.values()).map(move |index| {
            let (mut rest, mut place, mut scale) = (index, 0, 0);
            for axis in (0..rank).rev() {
                let at = rest % shape[axis];
                rest /= shape[axis];
                place += at * onnx_stride[axes[axis]];
                if scale_axis == Some(axis) {
                    scale = at;
                }
            }
            (place, scale)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::DType;
    use std::vec;

    fn image() -> TensorDescriptor {
        TensorDescriptor {
            name: "x".into(),
            dtype: DType::Int8,
            shape: vec![2, 2, 3],
            permutation: vec![1, 2, 0],
            axis: None,
            scales: vec![0.5],
            zero_points: vec![10],
            task: None,
        }
    }

    #[test]
    fn stored_order_is_channels_last() {
        // ONNX [3, 2, 2]: channel c, row y, column x has value 4c + 2y + x.
        let sample: Vec<f32> = (0..12_i16).map(f32::from).collect();
        let stored = image().quantize(&sample).unwrap();
        assert_eq!(stored[..6], [10, 18, 26, 12, 20, 28]);
        assert_eq!(image().dequantize(&stored).unwrap(), sample);
    }

    #[test]
    fn rounds_to_even_and_saturates() {
        let flat = TensorDescriptor {
            shape: vec![6],
            permutation: vec![0],
            scales: vec![1.0],
            zero_points: vec![0],
            ..image()
        };
        let stored = flat
            .quantize(&[0.5, 1.5, -0.5, 1e9, -1e9, f32::NAN])
            .unwrap();
        assert_eq!(stored, [0, 2, 0, 127, 128, 128]);
        assert!(matches!(
            flat.quantize(&[0.0]),
            Err(WrongLength {
                expected: 6,
                found: 1
            })
        ));
    }

    #[test]
    fn zero_points_at_the_ends_of_32_bits() {
        for (zero, low, high) in [
            (i32::MIN, 0.0, 4_294_967_296.0),
            (i32::MAX, -4_294_967_296.0, 0.0),
        ] {
            let wide = TensorDescriptor {
                dtype: DType::Int32,
                shape: vec![2],
                permutation: vec![0],
                scales: vec![1.0],
                zero_points: vec![zero],
                ..image()
            };
            let stored = wide.quantize(&[-1e30, 1e30]).unwrap();
            assert_eq!(
                stored,
                [i32::MIN.to_le_bytes(), i32::MAX.to_le_bytes()].concat()
            );
            assert_eq!(wide.dequantize(&stored).unwrap(), [low, high]);
        }
    }
}
