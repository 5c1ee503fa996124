//! The tensor descriptors of 27303/x/17 and 18: a deterministic CBOR array (RFC 8949 §4.2.1,
//! but reals always as single precision) of a map per tensor. A reader skips keys it does not know.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

use super::{DType, Task};
use crate::cbor::Writer;

/// The most values a tensor may have.
const MAX_VALUES: usize = 1 << 24;
/// The most tensors in one array.
const MAX_TENSORS: u64 = 64;

/// How a tensor lies in the bytes of Input and Output (27304/x/5 and 6), and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDescriptor {
    /// ONNX name.
    pub name: String,
    /// Stored type: int8, int16 or int32.
    pub dtype: DType,
    /// Stored shape, channels last, without batch.
    pub shape: Vec<u32>,
    /// `permutation[i]` is the ONNX axis (without batch) that stored axis `i` is.
    pub permutation: Vec<u8>,
    /// Stored axis that the scales run along, if there is more than one.
    pub axis: Option<u8>,
    /// Scales, one or as many as the axis is long.
    pub scales: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero_points: Vec<i32>,
    /// Of an output.
    pub task: Option<Task>,
}

/// What is wrong with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Not the CBOR it should be.
    Cbor,
    /// A key is missing, or its value is wrong.
    Key(&'static str),
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor => f.write_str("not the CBOR of a descriptor"),
            Self::Key(key) => write!(f, "'{key}' is missing or wrong"),
        }
    }
}

impl core::error::Error for DescriptorError {}

/// A sample, or what is stored of one, is not as long as the descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// Values (bytes of what is stored) of the tensor.
    pub expected: usize,
    /// Values (bytes) given.
    pub found: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(
            f,
            "the model takes {expected} values, the sample has {found}"
        )
    }
}

impl core::error::Error for WrongLength {}

// By value, as map_err wants it.
#[allow(clippy::needless_pass_by_value)]
fn cbor(_: Error) -> DescriptorError {
    DescriptorError::Cbor
}

impl TensorDescriptor {
    /// Number of values; [`usize::MAX`] where they are too many.
    #[must_use]
    pub fn values(&self) -> usize {
        let each = |&d: &u32| usize::try_from(d).unwrap_or(usize::MAX);
        self.shape.iter().map(each).fold(1, usize::saturating_mul)
    }

    /// Number of stored bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.dtype.bytes(self.values())
    }

    /// Do all parts agree?
    ///
    /// # Errors
    /// The key that does not.
    pub fn check(&self) -> Result<(), DescriptorError> {
        if self.shape.contains(&0) || self.values() > MAX_VALUES {
            return Err(DescriptorError::Key("shape"));
        }
        let mut axes = self.permutation.clone();
        axes.sort_unstable();
        if axes.len() != self.shape.len() || axes.iter().zip(0..).any(|(a, b)| *a != b) {
            return Err(DescriptorError::Key("perm"));
        }
        let scales = match self.axis {
            None => 1,
            Some(axis) => *self
                .shape
                .get(usize::from(axis))
                .ok_or(DescriptorError::Key("axis"))? as usize,
        };
        if self.scales.len() != scales || !self.scales.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(DescriptorError::Key("scale"));
        }
        if self.zero_points.len() != scales {
            return Err(DescriptorError::Key("zero"));
        }
        Ok(())
    }
}

/// Writes an array of descriptors, keys in bytewise order.
#[must_use]
pub fn write_descriptors(tensors: &[&TensorDescriptor]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.array(tensors.len() as u64);
    for tensor in tensors {
        write(&mut writer, tensor);
    }
    writer.take()
}

fn write(w: &mut Writer<Vec<u8>>, tensor: &TensorDescriptor) {
    w.map(6 + u64::from(tensor.axis.is_some()) + u64::from(tensor.task.is_some()));
    if let Some(axis) = tensor.axis {
        w.text("axis").unsigned(axis.into());
    }
    w.text("name").text(&tensor.name);
    w.text("perm").array(tensor.permutation.len() as u64);
    for axis in &tensor.permutation {
        w.unsigned((*axis).into());
    }
    if let Some(task) = tensor.task {
        w.text("task").text(task.name());
    }
    w.text("type").text(tensor.dtype.name());
    w.text("zero").array(tensor.zero_points.len() as u64);
    for zero in &tensor.zero_points {
        w.integer((*zero).into());
    }
    w.text("scale").array(tensor.scales.len() as u64);
    for scale in &tensor.scales {
        w.single(*scale);
    }
    w.text("shape").array(tensor.shape.len() as u64);
    for length in &tensor.shape {
        w.unsigned((*length).into());
    }
}

/// Reads an array of descriptors.
///
/// # Errors
/// It is none, or a descriptor does not agree with itself.
pub fn read_descriptors(bytes: &[u8]) -> Result<Vec<TensorDescriptor>, DescriptorError> {
    let mut decoder = Decoder::new(bytes);
    let count = decoder
        .array()
        .map_err(cbor)?
        .filter(|count| *count <= MAX_TENSORS)
        .ok_or(DescriptorError::Key("array length"))?;
    let all = (0..count)
        .map(|_| read(&mut decoder))
        .collect::<Result<_, _>>()?;
    if decoder.position() != bytes.len() {
        return Err(DescriptorError::Cbor);
    }
    Ok(all)
}

fn read(decoder: &mut Decoder<'_>) -> Result<TensorDescriptor, DescriptorError> {
    let (mut name, mut dtype, mut task, mut axis) = (None, None, None, None);
    let (mut shape, mut permutation, mut zero, mut scales) = (None, None, None, None);
    let entries = decoder
        .map()
        .map_err(cbor)?
        .ok_or(DescriptorError::Key("map length"))?;
    for _ in 0..entries {
        match decoder.str().map_err(cbor)? {
            "name" => name = Some(decoder.str().map_err(cbor)?.into()),
            "type" => {
                let stored = DType::from_name(decoder.str().map_err(cbor)?);
                let stored = stored.filter(|d| d.range().is_some() && d.bits() >= 8);
                dtype = Some(stored.ok_or(DescriptorError::Key("type"))?);
            }
            "task" => {
                let known = Task::from_name(decoder.str().map_err(cbor)?);
                task = Some(known.ok_or(DescriptorError::Key("task"))?);
            }
            "axis" => axis = Some(decoder.u8().map_err(cbor)?),
            "shape" => shape = Some(list(decoder, |d| d.u32())?),
            "perm" => permutation = Some(list(decoder, |d| d.u8())?),
            "zero" => zero = Some(list(decoder, |d| d.i32())?),
            "scale" => scales = Some(list(decoder, |d| d.f32())?),
            _ => skip(decoder)?,
        }
    }
    let found = TensorDescriptor {
        name: name.unwrap_or_default(),
        dtype: dtype.ok_or(DescriptorError::Key("type"))?,
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
    mut item: impl FnMut(&mut Decoder<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, DescriptorError> {
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

/// Skips the value of a key that is not known.
fn skip(decoder: &mut Decoder<'_>) -> Result<(), DescriptorError> {
    match decoder.datatype().map_err(cbor)? {
        Type::ArrayIndef | Type::MapIndef => Err(DescriptorError::Cbor),
        _ => decoder.skip().map_err(cbor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> TensorDescriptor {
        TensorDescriptor {
            name: "y".into(),
            dtype: DType::Int8,
            shape: std::vec![300],
            permutation: std::vec![0],
            axis: None,
            scales: std::vec![0.00390625],
            zero_points: std::vec![-128],
            task: Some(Task::Classify),
        }
    }

    #[test]
    fn bytes_of_one_output() {
        let expected = [
            b"\x81\xa7\x64name\x61y\x64perm\x81\x00\x64task\x68classify\x64type\x64int8".as_slice(),
            b"\x64zero\x81\x38\x7f\x65scale\x81\xfa\x3b\x80\x00\x00\x65shape\x81\x19\x01\x2c",
        ]
        .concat();
        assert_eq!(write_descriptors(&[&output()]), expected);
    }

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let along_an_axis = TensorDescriptor {
            shape: std::vec![4, 2],
            permutation: std::vec![1, 0],
            axis: Some(1),
            scales: std::vec![0.5, 2.0],
            zero_points: std::vec![3, -3],
            task: None,
            dtype: DType::Int16,
            ..output()
        };
        let bytes = write_descriptors(&[&output(), &along_an_axis]);
        let all = read_descriptors(&bytes).unwrap();
        assert_eq!(all, [output(), along_an_axis]);
        assert_eq!((all[0].values(), all[1].bytes()), (300, 16));
        for cut in 0..bytes.len() {
            assert!(read_descriptors(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                if let Ok(read) = read_descriptors(&wrong) {
                    assert!(read.iter().all(|one| one.check().is_ok()));
                }
            }
        }
    }

    #[test]
    fn parts_that_do_not_agree_are_named() {
        let wrong = |change: fn(&mut TensorDescriptor)| {
            let mut descriptor = output();
            change(&mut descriptor);
            descriptor.check().unwrap_err()
        };
        let key = DescriptorError::Key;
        assert_eq!(wrong(|d| d.shape = std::vec![0]), key("shape"));
        assert_eq!(wrong(|d| d.shape = std::vec![u32::MAX; 9]), key("shape"));
        assert_eq!(wrong(|d| d.permutation = std::vec![1]), key("perm"));
        assert_eq!(wrong(|d| d.permutation.clear()), key("perm"));
        assert_eq!(wrong(|d| d.axis = Some(1)), key("axis"));
        assert_eq!(wrong(|d| d.scales = std::vec![-1.0]), key("scale"));
        assert_eq!(wrong(|d| d.zero_points.clear()), key("zero"));
    }
}
