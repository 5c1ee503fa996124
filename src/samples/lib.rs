//! Calibration and test data: .npz and .npy files, read as the hostile input they may be.

mod npy;

use std::io::{Cursor, ErrorKind, Read};

use ndarray::{ArrayD, Axis};
use tinsmith_build_job::child::Readers;
use tinsmith_build_job::{Array, Samples, TestSet};

use npy::{array, floats, header};

/// The most bytes an array, and all that are used together, may have when they are unpacked.
const MAX_BYTES: u64 = 512 << 20;
/// The most arrays of an .npz file that are used.
const MAX_ARRAYS: usize = 16;

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
        name: String,
        /// What is there.
        found: String,
    },
    /// The type can't be used.
    #[error("array '{name}' has type {found}; expected {expected}")]
    Type {
        /// The array.
        name: String,
        /// As the file has it.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Larger than memory allows for.
    #[error("array '{name}' would need {bytes} bytes; the limit is {MAX_BYTES}")]
    TooBig {
        /// The array.
        name: String,
        /// As the file says.
        bytes: u64,
    },
    /// Larger than the memory that is left.
    #[error("array '{name}' needs more memory than there is")]
    Memory {
        /// The array.
        name: String,
    },
    /// No samples, or not as many labels as samples.
    #[error("{0}")]
    Shape(String),
    /// NaN or infinity.
    #[error("array '{name}', sample {sample}: a value is not finite")]
    NotFinite {
        /// The array.
        name: String,
        /// Index of the sample.
        sample: usize,
    },
}

/// For the child process that opens files of unknown origin.
pub const READERS: Readers = Readers {
    samples: |bytes| samples(bytes).map_err(|error| error.to_string()),
    test: |bytes| test_set(bytes).map_err(|error| error.to_string()),
};

/// The samples in an .npy file, or in the arrays of an .npz file, each of which is for the input of
/// its name. An array `y` is for labels. If there is an array `x`, others that are no samples beside
/// it don't count.
pub fn samples(bytes: &[u8]) -> Result<Samples, SamplesError> {
    if bytes.starts_with(b"\x93NUMPY") {
        let array = input("x", bytes)?;
        let shape = array.shape()[1..].to_vec();
        return Ok(Samples::new(shape, array.iter().copied().collect()));
    }
    let mut archive = open(bytes)?;
    let names = names(&archive);
    let mut inputs: Vec<(&str, ArrayD<f32>)> = Vec::new();
    let x = names.iter().any(|name| name == "x");
    if x {
        inputs.push(("x", input("x", &entry(&mut archive, "x")?)?));
    }
    let others = || {
        names
            .iter()
            .filter(|name| !["x", "y"].contains(&name.as_str()))
    };
    if !x && others().count() > MAX_ARRAYS {
        let text = format!("the .npz has more than {MAX_ARRAYS} arrays");
        return Err(SamplesError::Shape(text));
    }
    let mut bytes = 0;
    for name in others().take(MAX_ARRAYS) {
        match entry(&mut archive, name).and_then(|npy| input(name, &npy)) {
            Ok(array) if !x || count(&array) == count(&inputs[0].1) => {
                bytes += 4 * array.len() as u64;
                inputs.push((name, array));
            }
            Err(error) if !x => return Err(error),
            _ => {}
        }
        if bytes > MAX_BYTES {
            let name = name.clone();
            return Err(SamplesError::TooBig { name, bytes });
        }
    }
    join(&inputs, &names)
}

/// Number of samples.
fn count(array: &ArrayD<f32>) -> usize {
    array.len_of(Axis(0))
}

/// Sample by sample, the values of all arrays.
fn join(inputs: &[(&str, ArrayD<f32>)], names: &[String]) -> Result<Samples, SamplesError> {
    let Some((first, array)) = inputs.first() else {
        let (name, found) = ("x".into(), names.join(", "));
        return Err(SamplesError::NoArray { name, found });
    };
    let samples = count(array);
    if let Some((name, other)) = inputs.iter().find(|(_, a)| count(a) != samples) {
        let other = count(other);
        let text = format!("'{first}' has {samples} samples, '{name}' has {other}");
        return Err(SamplesError::Shape(text));
    }
    let mut data = Vec::new();
    for sample in 0..samples {
        for (_, array) in inputs {
            data.extend(array.index_axis(Axis(0), sample).iter());
        }
    }
    let array = |(name, array): &(&str, ArrayD<f32>)| Array {
        name: (*name).to_owned(),
        shape: array.shape()[1..].to_vec(),
    };
    Ok(Samples {
        arrays: inputs.iter().map(array).collect(),
        data,
    })
}

/// An array of samples.
fn input(name: &str, npy: &[u8]) -> Result<ArrayD<f32>, SamplesError> {
    let array = floats(name, npy)?;
    if array.ndim() < 2 || array.is_empty() {
        let text = format!(
            "array '{name}' has shape {:?}; expected [samples, input ...]",
            array.shape()
        );
        return Err(SamplesError::Shape(text));
    }
    match array
        .axis_iter(Axis(0))
        .position(|sample| sample.iter().any(|v| !v.is_finite()))
    {
        None => Ok(array),
        Some(sample) => Err(SamplesError::NotFinite {
            name: name.into(),
            sample,
        }),
    }
}

/// The samples in an .npz file, as [`samples`] reads them, and their labels in array `y`.
pub fn test_set(bytes: &[u8]) -> Result<TestSet, SamplesError> {
    let x = samples(bytes)?;
    let npy = entry(&mut open(bytes)?, "y")?;
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

type Archive<'a> = zip::ZipArchive<Cursor<&'a [u8]>>;

fn format(error: &dyn std::fmt::Display) -> SamplesError {
    SamplesError::Format(error.to_string())
}

fn open(bytes: &[u8]) -> Result<Archive<'_>, SamplesError> {
    zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format(&e))
}

/// The names of the arrays, in order.
fn names(archive: &Archive<'_>) -> Vec<String> {
    let names = archive.file_names().filter_map(|n| n.strip_suffix(".npy"));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn entry(archive: &mut Archive<'_>, name: &str) -> Result<Vec<u8>, SamplesError> {
    let file = format!("{name}.npy");
    let Some(index) = archive.index_for_name(&file) else {
        let mut found = names(archive);
        found.truncate(16);
        let (name, found) = (name.into(), found.join(", "));
        return Err(SamplesError::NoArray { name, found });
    };
    let entry = archive.by_index(index).map_err(|e| format(&e))?;
    let memory = || SamplesError::Memory { name: name.into() };
    let mut npy = Vec::new();
    let size = entry.size().min(MAX_BYTES) as usize;
    npy.try_reserve_exact(size).map_err(|_| memory())?;
    entry
        .take(MAX_BYTES + 1)
        .read_to_end(&mut npy)
        .map_err(|error| match error.kind() {
            ErrorKind::OutOfMemory => memory(),
            _ => format(&error),
        })?;
    if npy.len() as u64 > MAX_BYTES {
        return Err(SamplesError::TooBig {
            name: name.into(),
            bytes: npy.len() as u64,
        });
    }
    Ok(npy)
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
            (set.x.arrays[0].shape.as_slice(), set.x.len(), set.x.size()),
            (&[1, 3][..], 2, 3)
        );
        assert_eq!(set.x.iter().nth(1).unwrap(), [3., 4., 5.]);
        assert_eq!(set.y, [1., 5.]);
        assert_eq!(samples(&x(&[1., 2.], "(2, 1)")).unwrap().len(), 2);
    }

    #[test]
    fn integers_and_half_floats_are_taken() {
        let two = |descr: &str, data: &[u8]| samples(&npy(descr, "(2, 1)", data)).unwrap().data;
        assert_eq!(two("|u1", &[7, 255]), [7.0, 255.0]);
        assert_eq!(two("|i1", &[7, 255]), [7.0, -1.0]);
        assert_eq!(two("<i2", &[1, 0, 0xFF, 0xFF]), [1.0, -1.0]);
        assert_eq!(two("<f2", &[0, 0x3C, 0, 0xC0]), [1.0, -2.0]);
        assert_eq!(
            two("<i8", &[[1_u8; 8], [0; 8]].concat()),
            [72_340_172_838_076_673.0, 0.0]
        );
        assert!(samples(&npy(">f4", "(2, 1)", &[0; 8])).is_err());
    }

    #[test]
    fn an_array_for_each_input() {
        let (a, b) = (x(&[0., 1., 2., 3.], "(2, 2)"), x(&[8., 9.], "(2, 1, 1)"));
        let file = npz(&[
            ("b", b.clone()),
            ("a", a.clone()),
            ("y", x(&[1., 0.], "(2,)")),
        ]);
        let set = test_set(&file).unwrap();
        let arrays = set.x.arrays.iter();
        let arrays: Vec<_> = arrays.map(|a| (a.name.as_str(), &a.shape[..])).collect();
        assert_eq!(arrays, [("a", &[2][..]), ("b", &[1, 1][..])]);
        assert_eq!(set.x.data, [0., 1., 8., 2., 3., 9.]);
        // Beside an x only what has as many samples.
        let three = x(&[0.; 3], "(3, 1)");
        let others = [
            ("x", a.clone()),
            ("mean", three.clone()),
            ("odd", npy("|O", "(2, 1)", b"")),
        ];
        assert_eq!(samples(&npz(&others)).unwrap().arrays.len(), 1);
        assert_eq!(
            samples(&npz(&[("x", a.clone()), ("b", b)])).unwrap().size(),
            3
        );
        let error = samples(&npz(&[("a", a), ("c", three)])).unwrap_err();
        assert_eq!(error.to_string(), "'a' has 2 samples, 'c' has 3");
        assert!(
            samples(&npz(&[]))
                .unwrap_err()
                .to_string()
                .contains("no array 'x'")
        );
        let many: Vec<String> = (0..=MAX_ARRAYS).map(|i| format!("in{i}")).collect();
        let many: Vec<_> = many
            .iter()
            .map(|n| (n.as_str(), x(&[1.], "(1, 1)")))
            .collect();
        assert!(
            samples(&npz(&many))
                .unwrap_err()
                .to_string()
                .contains("more than 16")
        );
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
