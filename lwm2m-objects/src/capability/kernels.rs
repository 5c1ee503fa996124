//! The kernel list of a Compute Unit (27301/x/10): CBOR `[[id, version], ...]`.

use core::fmt;

use crate::Sink;
use crate::cbor::{Major, Reader, head};

/// A kernel list is not what 27301/x/10 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelsError {
    /// Not a CBOR array of pairs of unsigned 16-bit integers, in deterministic encoding.
    Malformed,
    /// Kernels are not in ascending order of id and version, or one comes twice.
    NotInOrder,
    /// Bytes behind the array.
    TrailingBytes,
}

impl fmt::Display for KernelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a kernel list is a CBOR array of [id, version]",
            Self::NotInOrder => "a kernel list is in ascending order without repetition",
            Self::TrailingBytes => "bytes behind the end of a kernel list",
        })
    }
}

impl core::error::Error for KernelsError {}

/// Writes a kernel list in deterministic CBOR; `list` must be in ascending order.
pub fn encode_kernels<S: Sink + ?Sized>(list: &[(u16, u16)], mut sink: &mut S) {
    head(&mut sink, Major::Array, list.len() as u64);
    for &(id, version) in list {
        head(&mut sink, Major::Array, 2);
        head(&mut sink, Major::Unsigned, u64::from(id));
        head(&mut sink, Major::Unsigned, u64::from(version));
    }
}

/// The kernels of a list, `(id, version)`; the whole list is checked first.
///
/// # Errors
/// The list is malformed, out of order or too long.
pub fn kernels(bytes: &[u8]) -> Result<Kernels<'_>, KernelsError> {
    let mut reader = Reader::new(bytes);
    let count = reader.array().map_err(|_| KernelsError::Malformed)?;
    let all = Kernels(reader.clone());
    let mut last = None;
    for _ in 0..count {
        let kernel = pair(&mut reader).ok_or(KernelsError::Malformed)?;
        if last.is_some_and(|last| last >= kernel) {
            return Err(KernelsError::NotInOrder);
        }
        last = Some(kernel);
    }
    if reader.is_empty() {
        Ok(all)
    } else {
        Err(KernelsError::TrailingBytes)
    }
}

fn pair(reader: &mut Reader<'_>) -> Option<(u16, u16)> {
    if reader.array().ok()? != 2 {
        return None;
    }
    let mut number = || u16::try_from(reader.unsigned().ok()?).ok();
    Some((number()?, number()?))
}

/// Iterates over a checked kernel list.
#[derive(Clone, Debug)]
pub struct Kernels<'a>(Reader<'a>);

impl Iterator for Kernels<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        pair(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn round_trip(list in prop::collection::btree_set(any::<(u16, u16)>(), 0..40)) {
            let list: Vec<_> = list.into_iter().collect();
            let mut bytes = Vec::new();
            encode_kernels(&list, &mut bytes);
            prop_assert_eq!(kernels(&bytes).unwrap().collect::<Vec<_>>(), list);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(list) = kernels(&bytes) {
                let mut again = Vec::new();
                encode_kernels(&list.collect::<Vec<_>>(), &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn refused() {
        let cases: [(&[u8], KernelsError); 8] = [
            (b"", KernelsError::Malformed),
            (&[0x9f, 0xff], KernelsError::Malformed),
            (&[0x81, 0x01], KernelsError::Malformed),
            (&[0x81, 0x82, 0x01], KernelsError::Malformed),
            (&[0x81, 0x82, 0x18, 0x01, 0x01], KernelsError::Malformed),
            (&[0x80, 0x00], KernelsError::TrailingBytes),
            (&[0x82, 0x82, 1, 1, 0x82, 1, 1], KernelsError::NotInOrder),
            (&[0x9b, 0x7f, 0, 0, 0, 0, 0, 0, 0], KernelsError::Malformed),
        ];
        for (bytes, error) in cases {
            assert_eq!(kernels(bytes).err(), Some(error), "{bytes:02x?}");
        }
    }
}
