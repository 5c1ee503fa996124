//! The capability digest (27300/0/13).

use sha2::{Digest as _, Sha256};

use crate::cbor::{Major, head};
use crate::format::cbor;
use crate::ids::{
    self, compute_platform as platform, compute_unit as unit, memory_region as region,
};
use crate::{Path, Records, Sink, Value};

/// Bytes of a capability digest.
pub const DIGEST_LEN: usize = 16;

const PREFIX: &[u8] = b"tinsmith-capability-1";

/// Does a resource stay the same between two boots, and so belong to the digest?
#[must_use]
pub const fn is_constant(object: u16, resource: u16) -> bool {
    match object {
        ids::COMPUTE_PLATFORM => matches!(
            resource,
            platform::SOC_PART
                | platform::COMPILE_TARGET
                | platform::RUNTIME_ABI_VERSION
                | platform::MODULE_FORMATS
                | platform::ARENA_TOTAL
                | platform::MODEL_STORAGE_TOTAL
                | platform::MODEL_SLOTS
                | platform::MAX_MODULE_SIZE
                | platform::SIGNATURE_ALGORITHMS
        ),
        ids::COMPUTE_UNIT => matches!(
            resource,
            unit::NAME
                | unit::UNIT_TYPE
                | unit::ARCHITECTURE
                | unit::EXTENSIONS
                | unit::CLOCK_MAX
                | unit::DATA_TYPES
                | unit::INSTRUCTION_CACHE
                | unit::DATA_CACHE
                | unit::OPERATORS
                | unit::KERNEL_LIBRARY
        ),
        ids::MEMORY_REGION => matches!(
            resource,
            region::NAME
                | region::KIND
                | region::START
                | region::SIZE
                | region::ERASE_UNIT
                | region::WRITE_UNIT
                | region::ACCESS
                | region::ROLES
        ),
        _ => false,
    }
}

/// The digest over the constant resources among the records; all others are passed over.
///
/// It is the start of SHA-256 over a text and the deterministic CBOR (RFC 8949 §4.2) of
/// `{object: {instance: {resource: value}}}`. The records come in the order of their paths, as
/// [`Records`] says.
pub fn digest<R: Records + ?Sized>(records: &R) -> [u8; DIGEST_LEN] {
    let mut hash = Hash(Sha256::new());
    hash.write(PREFIX);
    encode(&records, &mut hash);
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(&hash.0.finalize()[..DIGEST_LEN]);
    digest
}

struct Hash(Sha256);

impl Sink for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// Visits the constant resources only.
fn constants(records: &dyn Records, f: &mut dyn FnMut(&Path, Value<'_>)) {
    records.visit(&mut |path, value| {
        if let (Some(object), Some(resource)) = (path.object_id(), path.resource_id())
            && is_constant(object, resource)
        {
            f(path, value);
        }
    });
}

/// Number of different paths one level below `parent` that lead to constant resources.
fn children(records: &dyn Records, parent: &Path) -> u64 {
    let mut count = 0;
    let mut last = None;
    constants(records, &mut |path, _| {
        let child = path.truncated(parent.depth() + 1);
        if path.starts_with(parent) && last != Some(child) {
            last = Some(child);
            count += 1;
        }
    });
    count
}

fn encode(records: &dyn Records, sink: &mut dyn Sink) {
    head(sink, Major::Map, children(records, &Path::ROOT));
    let mut open = Path::ROOT;
    constants(records, &mut |path, value| {
        for depth in 1..=path.depth() {
            let at = path.truncated(depth);
            if open.truncated(depth) == at && open.depth() >= depth {
                continue;
            }
            open = at;
            let id = at.ids().last().copied().unwrap_or_default();
            match depth {
                1 | 2 => {
                    head(sink, Major::Unsigned, u64::from(id));
                    head(sink, Major::Map, children(records, &at));
                }
                3 => {
                    head(sink, Major::Unsigned, u64::from(id));
                    if path.depth() == 4 {
                        head(sink, Major::Array, children(records, &at));
                    }
                }
                _ => {}
            }
        }
        cbor::write(sink, value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn deterministic_cbor_of_the_constants() {
        let records = [
            (Path::resource(3, 0, 0), Value::String("no capability")),
            (Path::resource(27300, 0, 0), Value::String("a name")),
            (Path::resource(27300, 0, 1), Value::String("p")),
            (Path::resource_instance(27300, 0, 4, 0), Value::Integer(0)),
            (Path::resource_instance(27300, 0, 4, 3), Value::Integer(2)),
            (Path::resource(27300, 0, 5), Value::UnsignedInteger(65536)),
            (Path::resource(27300, 0, 6), Value::UnsignedInteger(1)),
            (Path::resource_instance(27300, 0, 12, 0), Value::Integer(-8)),
            (Path::resource(27301, 0, 10), Value::Opaque(&[0x80])),
            (Path::resource(27301, 2, 0), Value::String("npu")),
            (Path::resource(27302, 0, 4), Value::UnsignedInteger(9)),
        ];
        let mut out = Vec::new();
        encode(&records, &mut out);
        let expected = [
            &[0xa2][..],
            &[0x19, 0x6a, 0xa4, 0xa1, 0x00, 0xa4],
            b"\x01\x61p",
            &[0x04, 0x82, 0x00, 0x02],
            &[0x05, 0x1a, 0x00, 0x01, 0x00, 0x00],
            &[0x0c, 0x81, 0x27],
            &[0x19, 0x6a, 0xa5, 0xa2],
            &[0x00, 0xa1, 0x0a, 0x41, 0x80],
            b"\x02\xa1\x00\x63npu",
        ]
        .concat();
        assert_eq!(out, expected);
        let mut hash = Sha256::new();
        hash.update(PREFIX);
        hash.update(&expected);
        assert_eq!(digest(&records), hash.finalize()[..16]);
    }

    #[test]
    fn nothing_is_an_empty_map() {
        let none: [(Path, Value<'_>); 0] = [];
        let mut out = Vec::new();
        encode(&none, &mut out);
        assert_eq!(out, [0xa0]);
    }
}
