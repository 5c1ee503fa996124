//! One array of a .npy file (NEP 1), as real numbers.

use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement};

use crate::SamplesError;

/// The values of an array of any real type.
pub(crate) fn floats(name: &str, npy: &[u8]) -> Result<ArrayD<f32>, SamplesError> {
    let (descr, _) = header(name, npy)?;
    Ok(match descr.as_str() {
        "<f4" => array::<f32>(name, npy)?,
        "<f8" => array::<f64>(name, npy)?.mapv(|v| v as f32),
        "<f2" => array::<u16>(name, &as_u16(npy))?.mapv(from_half),
        "|u1" => array::<u8>(name, npy)?.mapv(f32::from),
        "|i1" => array::<i8>(name, npy)?.mapv(f32::from),
        "<u2" => array::<u16>(name, npy)?.mapv(f32::from),
        "<i2" => array::<i16>(name, npy)?.mapv(f32::from),
        "<u4" => array::<u32>(name, npy)?.mapv(|v| v as f32),
        "<i4" => array::<i32>(name, npy)?.mapv(|v| v as f32),
        "<u8" => array::<u64>(name, npy)?.mapv(|v| v as f32),
        "<i8" => array::<i64>(name, npy)?.mapv(|v| v as f32),
        _ => {
            return Err(SamplesError::Type {
                name: name.into(),
                found: descr,
                expected: "real numbers or integers, little endian",
            });
        }
    })
}

/// The bits of half floats as integers: the reader knows no such type.
fn as_u16(npy: &[u8]) -> Vec<u8> {
    let mut npy = npy.to_vec();
    if let Some(at) = npy.windows(5).position(|part| part == b"'<f2'") {
        npy[at + 2] = b'u';
    }
    npy
}

/// IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 bits of fraction.
fn from_half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3FF) / 1024.0;
    sign * match bits >> 10 & 0x1F {
        0 => fraction * 2_f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction) * 2_f32.powi(i32::from(exponent) - 15),
    }
}

pub(crate) fn array<T: ReadableElement>(name: &str, npy: &[u8]) -> Result<ArrayD<T>, SamplesError> {
    let (_, elements) = header(name, npy)?;
    let bytes = elements.saturating_mul(size_of::<T>() as u64);
    // The reader below allocates what the header claims.
    if bytes > npy.len() as u64 {
        return Err(SamplesError::Format(format!("array '{name}' is truncated")));
    }
    ArrayD::<T>::read_npy(npy).map_err(|error| SamplesError::Format(error.to_string()))
}

/// The type and the number of elements that a .npy header claims (NEP 1).
pub(crate) fn header(name: &str, npy: &[u8]) -> Result<(String, u64), SamplesError> {
    let wrong = || SamplesError::Format(format!("array '{name}' has no .npy header"));
    let length = match npy.get(6) {
        Some(1) => npy
            .get(8..10)
            .map(|b| (10_usize, usize::from(b[0]) | usize::from(b[1]) << 8)),
        Some(2 | 3) => npy.get(8..12).and_then(|b| {
            Some((
                12,
                usize::try_from(u32::from_le_bytes(b.try_into().ok()?)).ok()?,
            ))
        }),
        _ => None,
    };
    let (start, length) = length
        .filter(|_| npy.starts_with(b"\x93NUMPY"))
        .ok_or_else(wrong)?;
    let text = npy
        .get(start..start.saturating_add(length))
        .ok_or_else(wrong)?;
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest).ok_or_else(wrong);
    let descr = after("'descr':")?
        .split('\'')
        .nth(1)
        .ok_or_else(wrong)?
        .to_owned();
    let shape = after("'shape':")?
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let elements = shape
        .ok_or_else(wrong)?
        .0
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .try_fold(1_u64, |n, part| n.checked_mul(part.trim().parse().ok()?))
        .ok_or_else(wrong)?;
    Ok((descr, elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats() {
        let known = [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7BFF, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x7C00, f32::INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(from_half(bits), value, "{bits:04x}");
        }
        assert!(from_half(0x7E00).is_nan());
    }
}
