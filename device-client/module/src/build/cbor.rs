//! The descriptors of 27303/x/17 and 18 in deterministic CBOR (RFC 8949 section 4.2.1): shortest
//! heads, definite lengths, keys in bytewise order. Reals are always single precision (section
//! 4.2.2 leaves that to the protocol).

use alloc::vec::Vec;

use super::{Dtype, Task, TensorSpec};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, value as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        head(out, NEGATIVE, !value as u64);
    } else {
        head(out, UNSIGNED, value as u64);
    }
}

fn integers(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = i64>) {
    head(out, ARRAY, values.len() as u64);
    for value in values {
        integer(out, value);
    }
}

/// The array of descriptors. Keys: `axis` (stored axis of the quantization, absent if none),
/// `name`, `perm`, `task` (outputs only), `type`, `zero`, `scale`, `shape`.
pub(super) fn descriptors(tensors: &[TensorSpec]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, ARRAY, tensors.len() as u64);
    for tensor in tensors {
        let optional = u64::from(tensor.axis.is_some()) + u64::from(tensor.task != Task::None);
        head(&mut out, MAP, 6 + optional);
        if let Some(axis) = tensor.axis {
            text(&mut out, "axis");
            integer(&mut out, i64::from(axis));
        }
        text(&mut out, "name");
        text(&mut out, &tensor.name);
        text(&mut out, "perm");
        integers(&mut out, tensor.permutation.iter().map(|&p| i64::from(p)));
        let task = match tensor.task {
            Task::None => None,
            Task::Classify => Some("classify"),
            Task::Regress => Some("regress"),
            Task::Reconstruct => Some("reconstruct"),
        };
        if let Some(task) = task {
            text(&mut out, "task");
            text(&mut out, task);
        }
        text(&mut out, "type");
        text(
            &mut out,
            match tensor.dtype {
                Dtype::Int8 => "int8",
                Dtype::Int16 => "int16",
                Dtype::Int32 => "int32",
            },
        );
        text(&mut out, "zero");
        integers(&mut out, tensor.zero_points.iter().map(|&z| i64::from(z)));
        text(&mut out, "scale");
        head(&mut out, ARRAY, tensor.scales.len() as u64);
        for scale in &tensor.scales {
            out.push(0xfa);
            out.extend_from_slice(&scale.to_be_bytes());
        }
        text(&mut out, "shape");
        integers(&mut out, tensor.shape.iter().map(|&d| i64::from(d)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_output() {
        let tensor = TensorSpec {
            name: "y".into(),
            dtype: Dtype::Int8,
            segment: 0,
            offset: 0,
            shape: alloc::vec![300],
            permutation: alloc::vec![0],
            axis: None,
            scales: alloc::vec![0.00390625],
            zero_points: alloc::vec![-128],
            task: Task::Classify,
        };
        let expected = [
            b"\x81\xa7\x64name\x61y\x64perm\x81\x00\x64task\x68classify\x64type\x64int8".as_slice(),
            b"\x64zero\x81\x38\x7f\x65scale\x81\xfa\x3b\x80\x00\x00\x65shape\x81\x19\x01\x2c",
        ]
        .concat();
        assert_eq!(descriptors(&[tensor]), expected);
    }
}
