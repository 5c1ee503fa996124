//! The tensor descriptors of 27303/x/17 and 18.

use minicbor::Decoder;
use minicbor::data::Type;
use tinsmith_build_job::Task;

use super::InferenceError;

/// The most values a tensor may have.
const MAX_VALUES: usize = 1 << 24;

/// Stored type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed 8-bit.
    Int8,
    /// Signed 16-bit.
    Int16,
    /// Signed 32-bit.
    Int32,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Kind::Int8 => 1,
            Kind::Int16 => 2,
            Kind::Int32 => 4,
        }
    }

    const fn range(self) -> (i32, i32) {
        match self {
            Kind::Int8 => (i8::MIN as i32, i8::MAX as i32),
            Kind::Int16 => (i16::MIN as i32, i16::MAX as i32),
            Kind::Int32 => (i32::MIN, i32::MAX),
        }
    }
}

/// How a tensor lies in the bytes of Input and Output.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// ONNX name.
    pub name: String,
    /// Stored type.
    pub kind: Kind,
    /// Stored shape, channels last, without batch.
    pub shape: Vec<usize>,
    /// `permutation[i]` is the ONNX axis that stored axis `i` is.
    pub permutation: Vec<usize>,
    /// Stored axis that the scales run along.
    pub axis: Option<usize>,
    /// Scales, one or as many as the axis is long.
    pub scales: Vec<f32>,
    /// Zero points, as many.
    pub zero_points: Vec<i32>,
    /// Of an output.
    pub task: Option<Task>,
}

/// What is wrong with a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Not the CBOR it should be.
    #[error("not a descriptor: {0}")]
    Cbor(String),
    /// Something is missing.
    #[error("'{0}' is missing or wrong")]
    Key(&'static str),
    /// Not one tensor.
    #[error("{0} tensors; expected 1")]
    Tensors(usize),
}

/// Reads the array of descriptors.
pub fn descriptors(bytes: &[u8]) -> Result<Vec<Descriptor>, DescriptorError> {
    let cbor = |error: minicbor::decode::Error| DescriptorError::Cbor(error.to_string());
    let mut decoder = Decoder::new(bytes);
    let count = decoder
        .array()
        .map_err(cbor)?
        .ok_or(DescriptorError::Key("array length"))?;
    if count > 64 {
        return Err(DescriptorError::Key("array length"));
    }
    let all = (0..count)
        .map(|_| descriptor(&mut decoder))
        .collect::<Result<_, _>>()?;
    if decoder.position() != bytes.len() {
        return Err(DescriptorError::Cbor("bytes behind the end".into()));
    }
    Ok(all)
}

fn descriptor(decoder: &mut Decoder<'_>) -> Result<Descriptor, DescriptorError> {
    let cbor = |error: minicbor::decode::Error| DescriptorError::Cbor(error.to_string());
    let (mut name, mut kind, mut task, mut axis) = (None, None, None, None);
    let (mut shape, mut permutation, mut zero, mut scales) = (None, None, None, None);
    let entries = decoder
        .map()
        .map_err(cbor)?
        .ok_or(DescriptorError::Key("map length"))?;
    for _ in 0..entries {
        match decoder.str().map_err(cbor)? {
            "name" => name = Some(decoder.str().map_err(cbor)?.to_owned()),
            "type" => {
                kind = Some(match decoder.str().map_err(cbor)? {
                    "int8" => Kind::Int8,
                    "int16" => Kind::Int16,
                    "int32" => Kind::Int32,
                    _ => return Err(DescriptorError::Key("type")),
                });
            }
            "task" => {
                task = Some(match decoder.str().map_err(cbor)? {
                    "classify" => Task::Classify,
                    "regress" => Task::Regress,
                    "reconstruct" => Task::Reconstruct,
                    _ => return Err(DescriptorError::Key("task")),
                });
            }
            "axis" => axis = Some(decoder.u8().map_err(cbor)?.into()),
            "shape" => shape = Some(list(decoder, |d| d.u32().map(|n| n as usize))?),
            "perm" => permutation = Some(list(decoder, |d| d.u8().map(usize::from))?),
            "zero" => zero = Some(list(decoder, |d| d.i32())?),
            "scale" => scales = Some(list(decoder, |d| d.f32())?),
            _ => skip(decoder).map_err(cbor)?,
        }
    }
    let found = Descriptor {
        name: name.unwrap_or_default(),
        kind: kind.ok_or(DescriptorError::Key("type"))?,
        shape: shape.ok_or(DescriptorError::Key("shape"))?,
        permutation: permutation.ok_or(DescriptorError::Key("perm"))?,
        axis,
        scales: scales.ok_or(DescriptorError::Key("scale"))?,
        zero_points: zero.ok_or(DescriptorError::Key("zero"))?,
        task,
    };
    found.check()?;
    Ok(found)
}

fn list<T>(
    decoder: &mut Decoder<'_>,
    mut item: impl FnMut(&mut Decoder<'_>) -> Result<T, minicbor::decode::Error>,
) -> Result<Vec<T>, DescriptorError> {
    let cbor = |error: minicbor::decode::Error| DescriptorError::Cbor(error.to_string());
    let count = decoder
        .array()
        .map_err(cbor)?
        .ok_or(DescriptorError::Key("array length"))?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(decoder).map_err(cbor)?);
    }
    Ok(items)
}

/// Skips a value of a key that is not known; nested ones are not expected.
fn skip(decoder: &mut Decoder<'_>) -> Result<(), minicbor::decode::Error> {
    match decoder.datatype()? {
        Type::ArrayIndef | Type::MapIndef => {
            Err(minicbor::decode::Error::message("indefinite length"))
        }
        _ => decoder.skip(),
    }
}

impl Descriptor {
    fn check(&self) -> Result<(), DescriptorError> {
        let values = self
            .shape
            .iter()
            .try_fold(1_usize, |n, d| n.checked_mul(*d));
        if values.is_none_or(|n| n == 0 || n > MAX_VALUES) {
            return Err(DescriptorError::Key("shape"));
        }
        let mut axes = self.permutation.clone();
        axes.sort_unstable();
        if axes != (0..self.shape.len()).collect::<Vec<_>>() {
            return Err(DescriptorError::Key("perm"));
        }
        let scales = match self.axis {
            None => 1,
            Some(axis) => *self.shape.get(axis).ok_or(DescriptorError::Key("axis"))?,
        };
        if self.scales.len() != scales || !self.scales.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(DescriptorError::Key("scale"));
        }
        if self.zero_points.len() != scales {
            return Err(DescriptorError::Key("zero"));
        }
        Ok(())
    }

    /// Number of values.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of stored bytes.
    pub fn bytes(&self) -> usize {
        self.values() * self.kind.bytes()
    }

    /// For each stored value in order: its place in the ONNX order, and the index of its scale.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let rank = self.shape.len();
        let mut onnx_shape = vec![0; rank];
        for (stored, onnx) in self.permutation.iter().enumerate() {
            onnx_shape[*onnx] = self.shape[stored];
        }
        let mut onnx_stride = vec![1; rank];
        for axis in (0..rank.saturating_sub(1)).rev() {
            onnx_stride[axis] = onnx_stride[axis + 1] * onnx_shape[axis + 1];
        }
        (0..self.values()).map(move |index| {
            let (mut rest, mut place, mut scale) = (index, 0, 0);
            for axis in (0..rank).rev() {
                let at = rest % self.shape[axis];
                rest /= self.shape[axis];
                place += at * onnx_stride[self.permutation[axis]];
                if self.axis == Some(axis) {
                    scale = at;
                }
            }
            (place, scale)
        })
    }

    /// Real numbers in ONNX order to stored bytes, as numerics N3 says.
    pub fn quantize(&self, sample: &[f32]) -> Result<Vec<u8>, InferenceError> {
        if sample.len() != self.values() {
            let (expected, found) = (self.values(), sample.len());
            return Err(InferenceError::Size { expected, found });
        }
        let (low, high) = self.kind.range();
        let mut bytes = Vec::with_capacity(self.bytes());
        for (place, scale) in self.places() {
            let zero = self.zero_points[scale];
            let (min, max) = ((low - zero) as f32, (high - zero) as f32);
            let real = sample[place] / self.scales[scale];
            let steps = if real.is_nan() {
                min
            } else {
                real.clamp(min, max)
            };
            let stored = steps.round_ties_even() as i32 + zero;
            bytes.extend_from_slice(&stored.to_le_bytes()[..self.kind.bytes()]);
        }
        Ok(bytes)
    }

    /// Stored bytes to real numbers in ONNX order, as numerics N3 says.
    pub fn dequantize(&self, bytes: &[u8]) -> Result<Vec<f32>, InferenceError> {
        if bytes.len() != self.bytes() {
            let (expected, found) = (self.bytes(), bytes.len());
            return Err(InferenceError::Size { expected, found });
        }
        let mut values = vec![0.0; self.values()];
        for ((place, scale), stored) in self.places().zip(bytes.chunks(self.kind.bytes())) {
            let stored = match *stored {
                [a] => i32::from(a as i8),
                [a, b] => i32::from(i16::from_le_bytes([a, b])),
                [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
                _ => 0,
            };
            values[place] = (stored - self.zero_points[scale]) as f32 * self.scales[scale];
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Descriptor {
        Descriptor {
            name: "x".into(),
            kind: Kind::Int8,
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
        let flat = Descriptor {
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
            Err(InferenceError::Size {
                expected: 6,
                found: 1
            })
        ));
    }

    #[test]
    fn reads_what_the_module_builder_writes_and_refuses_the_rest() {
        let bytes = [
            b"\x81\xa7\x64name\x61y\x64perm\x81\x00\x64task\x68classify\x64type\x64int8".as_slice(),
            b"\x64zero\x81\x38\x7f\x65scale\x81\xfa\x3b\x80\x00\x00\x65shape\x81\x19\x01\x2c",
        ]
        .concat();
        let all = descriptors(&bytes).unwrap();
        assert_eq!(all[0].task, Some(Task::Classify));
        assert_eq!(
            (all[0].values(), all[0].zero_points[0], all[0].scales[0]),
            (300, -128, 1.0 / 256.0)
        );
        for cut in 0..bytes.len() {
            assert!(descriptors(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                let _ = descriptors(&wrong);
            }
        }
    }
}
