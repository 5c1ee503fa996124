//! Calibration and test data: .npz and .npy files, read as the hostile input they may be.

use std::io::{Cursor, Read};

use ndarray::{ArrayD, Axis};
use ndarray_npy::ReadNpyExt;
use tinsmith_build_job::{Samples, TestSet};

/// The most bytes an array may have when it is unpacked.
const MAX_BYTES: u64 = 512 << 20;

/// Why a data file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplesError {
    /// Not a .npz (zip of .npy) and not a .npy file, or damaged.
    #[error("not a .npz or .npy file, or damaged: {0}")]
    Format(String),
    /// No array of that name.
    #[error("the .npz has no array '{name}'; it has: {found}")]
    NoArray {
        /// What was looked for.
        name: &'static str,
        /// What is there.
        found: String,
    },
    /// The type can't be used.
    #[error("array '{name}' has type {found}; expected {expected}")]
    Type {
        /// The array.
        name: &'static str,
        /// As the file has it.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Larger than memory allows for.
    #[error("array '{name}' would need {bytes} bytes; the limit is {MAX_BYTES}")]
    TooBig {
        /// The array.
        name: &'static str,
        /// As the file says.
        bytes: u64,
    },
    /// No samples, or not as many labels as samples.
    #[error("{0}")]
    Shape(String),
    /// NaN or infinity.
    #[error("array '{name}', sample {sample}: a value is not finite")]
    NotFinite {
        /// The array.
        name: &'static str,
        /// Index of the sample.
        sample: usize,
    },
}

/// The samples in array `x` of an .npz file, or in an .npy file.
pub fn samples(bytes: &[u8]) -> Result<Samples, SamplesError> {
    let npy = if bytes.starts_with(b"\x93NUMPY") {
        bytes.to_vec()
    } else {
        entry(bytes, "x")?
    };
    let array = floats("x", &npy)?;
    if array.ndim() < 2 || array.is_empty() {
        let text = format!(
            "array 'x' has shape {:?}; expected [samples, input ...]",
            array.shape()
        );
        return Err(SamplesError::Shape(text));
    }
    let shape = array.shape()[1..].to_vec();
    if let Some(sample) = array
        .axis_iter(Axis(0))
        .position(|sample| sample.iter().any(|v| !v.is_finite()))
    {
        return Err(SamplesError::NotFinite { name: "x", sample });
    }
    Ok(Samples {
        shape,
        data: array.iter().copied().collect(),
    })
}

/// The samples in array `x` and their labels in array `y` of an .npz file.
pub fn test_set(bytes: &[u8]) -> Result<TestSet, SamplesError> {
    let x = samples(bytes)?;
    let npy = entry(bytes, "y")?;
    let y: Vec<f64> = match header("y", &npy)?.0.as_str() {
        "<i8" => array::<i64>("y", &npy)?.iter().map(|v| *v as f64).collect(),
        "<i4" => array::<i32>("y", &npy)?
            .iter()
            .map(|v| f64::from(*v))
            .collect(),
        "|u1" => array::<u8>("y", &npy)?
            .iter()
            .map(|v| f64::from(*v))
            .collect(),
        _ => floats("y", &npy)?.iter().map(|v| f64::from(*v)).collect(),
    };
    if y.len() != x.len() {
        let text = format!("'x' has {} samples, 'y' has {} labels", x.len(), y.len());
        return Err(SamplesError::Shape(text));
    }
    Ok(TestSet { x, y })
}

fn entry(bytes: &[u8], name: &'static str) -> Result<Vec<u8>, SamplesError> {
    let format = |error: &dyn std::fmt::Display| SamplesError::Format(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format(&e))?;
    let file = format!("{name}.npy");
    let Some(index) = archive.index_for_name(&file) else {
        let found = archive
            .file_names()
            .take(16)
            .map(|n| n.trim_end_matches(".npy"))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(SamplesError::NoArray { name, found });
    };
    let entry = archive.by_index(index).map_err(|e| format(&e))?;
    let mut npy = Vec::new();
    entry
        .take(MAX_BYTES + 1)
        .read_to_end(&mut npy)
        .map_err(|e| format(&e))?;
    if npy.len() as u64 > MAX_BYTES {
        return Err(SamplesError::TooBig {
            name,
            bytes: npy.len() as u64,
        });
    }
    Ok(npy)
}

fn floats(name: &'static str, npy: &[u8]) -> Result<ArrayD<f32>, SamplesError> {
    let (descr, _) = header(name, npy)?;
    match descr.as_str() {
        "<f4" => array::<f32>(name, npy),
        "<f8" => Ok(array::<f64>(name, npy)?.mapv(|v| v as f32)),
        _ => Err(SamplesError::Type {
            name,
            found: descr,
            expected: "float32",
        }),
    }
}

fn array<T: ndarray_npy::ReadableElement>(
    name: &'static str,
    npy: &[u8],
) -> Result<ArrayD<T>, SamplesError> {
    let (_, elements) = header(name, npy)?;
    let bytes = elements.saturating_mul(size_of::<T>() as u64);
    // The reader below allocates what the header claims.
    if bytes > npy.len() as u64 {
        return Err(SamplesError::Format(format!("array '{name}' is truncated")));
    }
    ArrayD::<T>::read_npy(npy).map_err(|error| SamplesError::Format(error.to_string()))
}

/// The type and the number of elements that a .npy header claims (NEP 1).
fn header(name: &'static str, npy: &[u8]) -> Result<(String, u64), SamplesError> {
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
    use std::io::Write;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (10 + text.len() + 1) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in arrays {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn x(values: &[f32], shape: &str) -> Vec<u8> {
        npy(
            "<f4",
            shape,
            &values
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn reads_samples_and_labels() {
        let y = npy(
            "<i8",
            "(2,)",
            &[1_i64, 5]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect::<Vec<_>>(),
        );
        let file = npz(&[("x", x(&[0., 1., 2., 3., 4., 5.], "(2, 1, 3)")), ("y", y)]);
        let set = test_set(&file).unwrap();
        assert_eq!(
            (set.x.shape.as_slice(), set.x.len(), set.x.size()),
            (&[1, 3][..], 2, 3)
        );
        assert_eq!(set.x.iter().nth(1).unwrap(), [3., 4., 5.]);
        assert_eq!(set.y, [1., 5.]);
        assert_eq!(samples(&x(&[1., 2.], "(2, 1)")).unwrap().len(), 2);
    }

    #[test]
    fn refuses_what_is_wrong_and_says_so() {
        let message = |bytes: &[u8]| test_set(bytes).unwrap_err().to_string();
        assert!(message(b"").contains("not a .npz"));
        let good = x(&[1., 2.], "(2, 1)");
        assert!(message(&npz(&[("x", good.clone())])).contains("no array 'y'; it has: x"));
        assert!(message(&npz(&[("x", x(&[1., f32::NAN], "(2, 1)"))])).contains("sample 1"));
        assert!(message(&npz(&[("x", npy("|O", "(2, 1)", b""))])).contains("type |O"));
        assert!(message(&npz(&[("x", x(&[1.], "(1099511627776, 1)"))])).contains("truncated"));
        assert!(message(&npz(&[("x", x(&[1., 2.], "(2,)"))])).contains("shape [2]"));
        for cut in 0..good.len() {
            assert!(samples(&good[..cut]).is_err());
        }
    }
}
