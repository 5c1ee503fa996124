//! The section IO: where input and output tensors lie, and their descriptors.
//!
//! `u16` inputs, `u16` outputs, `u32` length of the inputs' CBOR, `u32` length of the outputs'
//! CBOR; then an entry per tensor, inputs first; then the two CBOR arrays.

use core::ops::Range;

use lwm2m_objects::compute::{DType, Task};

use super::header::{Segments, u16_at, u32_at};
use super::{ModuleError, Tensor};

pub(crate) const HEAD_BYTES: usize = 12;
pub(crate) const ENTRY_BYTES: usize = 20;

/// The parsed section.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Io<'m> {
    entries: &'m [[u8; ENTRY_BYTES]],
    inputs: usize,
    pub(crate) input_descriptor: &'m [u8],
    pub(crate) output_descriptor: &'m [u8],
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<Tensor> {
    let task = match entry[3] {
        0 => None,
        number => Some(Task::from_number(number.into())?),
    };
    Some(Tensor {
        segment: entry[0],
        offset: u32_at(entry, 4)?,
        bytes: u32_at(entry, 8)?,
        dtype: DType::from_number(entry[2].into())?,
        task,
        scale: f32::from_bits(u32_at(entry, 12)?),
        zero_point: u32_at(entry, 16)? as i32,
    })
}

fn fits(tensor: &Tensor, segments: &Segments<'_>) -> bool {
    let end = tensor.offset.checked_add(tensor.bytes);
    let size = segments.size(tensor.segment);
    end.zip(size).is_some_and(|(end, size)| end <= size)
}

impl<'m> Io<'m> {
    pub(crate) fn parse(bytes: &'m [u8], segments: &Segments<'_>) -> Result<Io<'m>, ModuleError> {
        Io::split(bytes)
            .filter(|io| {
                io.entries.iter().all(|entry| {
                    decode(entry).is_some_and(|tensor| {
                        // The kernels of this version know int8 only.
                        entry[1] == 0
                            && tensor.dtype == DType::Int8
                            && tensor.bytes > 0
                            && tensor.scale > 0.0
                            && tensor.scale.is_finite()
                            && (-128..=127).contains(&tensor.zero_point)
                            && fits(&tensor, segments)
                    })
                })
            })
            .ok_or(ModuleError::Io)
    }

    fn split(bytes: &'m [u8]) -> Option<Io<'m>> {
        let inputs = usize::from(u16_at(bytes, 0)?);
        let outputs = usize::from(u16_at(bytes, 2)?);
        let input_cbor = u32_at(bytes, 4)? as usize;
        let output_cbor = u32_at(bytes, 8)? as usize;
        let rest = bytes.get(HEAD_BYTES..)?;
        let (entries, rest) = rest.split_at_checked((inputs + outputs) * ENTRY_BYTES)?;
        let (input_descriptor, rest) = rest.split_at_checked(input_cbor)?;
        let (output_descriptor, rest) = rest.split_at_checked(output_cbor)?;
        let entries = entries.as_chunks().0;
        rest.is_empty().then_some(Io {
            entries,
            inputs,
            input_descriptor,
            output_descriptor,
        })
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        self.entries.iter().take(self.inputs).filter_map(decode)
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        self.entries.iter().skip(self.inputs).filter_map(decode)
    }
}

/// Where a tensor lies if all segments are in one memory.
pub(crate) fn range(tensor: &Tensor, segments: &Segments<'_>) -> Range<usize> {
    let base = segments.base(tensor.segment).unwrap_or(0);
    let start = base.saturating_add(tensor.offset) as usize;
    start..start.saturating_add(tensor.bytes as usize)
}
