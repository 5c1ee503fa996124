use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
use crate::model::{Builtin, NoModels};
use crate::{Objlnk, OwnedValue, Path, PathError, ValueType};

const TLV: ContentFormat = ContentFormat::TLV;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// LwM2M TS 1.1 §7.4.3.2.1: the Device object of the specification's example.
const DEVICE: &str = "
    C8 00 14 4F 70 65 6E 20 4D 6F 62 69 6C 65 20 41 6C 6C 69 61 6E 63 65
    C8 01 16 4C 69 67 68 74 77 65 69 67 68 74 20 4D 32 4D 20 43 6C 69 65 6E 74
    C8 02 09 33 34 35 30 30 30 31 32 33
    C3 03 31 2E 30
    86 06 41 00 01 41 01 05
    88 07 08 42 00 0E D8 42 01 13 88
    87 08 41 00 7D 42 01 03 84
    C1 09 64
    C1 0A 0F
    83 0B 41 00 00
    C4 0D 51 82 42 8F
    C6 0E 2B 30 32 3A 30 30
    C1 10 55";

fn device() -> Vec<(Path, OwnedValue)> {
    let single = |id, value| (Path::resource(3, 0, id), value);
    let nth = |id, n, value| {
        (
            Path::resource_instance(3, 0, id, n),
            OwnedValue::Integer(value),
        )
    };
    let text = |text: &str| OwnedValue::String(text.into());
    vec![
        single(0, text("Open Mobile Alliance")),
        single(1, text("Lightweight M2M Client")),
        single(2, text("345000123")),
        single(3, text("1.0")),
        nth(6, 0, 1),
        nth(6, 1, 5),
        nth(7, 0, 3800),
        nth(7, 1, 5000),
        nth(8, 0, 125),
        nth(8, 1, 900),
        single(9, OwnedValue::Integer(100)),
        single(10, OwnedValue::Integer(15)),
        nth(11, 0, 0),
        single(13, OwnedValue::Time(1_367_491_215)),
        single(14, text("+02:00")),
        single(16, text("U")),
    ]
}

#[test]
fn device_of_the_specification() {
    let bytes = hex(DEVICE);
    let base = Path::instance(3, 0);
    assert_eq!(decode_all(TLV, &base, &bytes, &Builtin).unwrap(), device());
    assert_eq!(encode_vec(TLV, &base, &device()).unwrap(), bytes);
}

#[test]
fn device_within_its_instance() {
    // LwM2M TS 1.1 §7.4.3.2.1: the same, asked for as /3, with the Object Instance TLV
    let inner = hex(DEVICE);
    let mut bytes = vec![0x08, 0x00, inner.len() as u8];
    bytes.extend_from_slice(&inner);
    for base in [Path::object(3), Path::instance(3, 0)] {
        assert_eq!(decode_all(TLV, &base, &bytes, &Builtin).unwrap(), device());
    }
    assert_eq!(
        decode_all(TLV, &Path::object(3), &inner, &Builtin).unwrap(),
        device()
    );
    assert_eq!(encode_vec(TLV, &Path::object(3), &device()).unwrap(), bytes);
}

#[test]
fn access_control_of_the_specification() {
    // LwM2M TS 1.1 §7.4.3.2.2 A
    let bytes = hex("
        08 00 0E C1 00 01 C1 01 00 83 02 41 7F 07 C1 03 7F
        08 02 12 C1 00 03 C1 01 00 87 02 41 7F 07 61 01 36 01 C1 03 7F");
    let values = decode_all(TLV, &Path::object(2), &bytes, &Builtin).unwrap();
    assert_eq!(values.len(), 9);
    assert_eq!(
        values[2],
        (
            Path::resource_instance(2, 0, 2, 127),
            OwnedValue::Integer(7)
        )
    );
    assert_eq!(
        values[7],
        (
            Path::resource_instance(2, 2, 2, 310),
            OwnedValue::Integer(1)
        )
    );
    assert_eq!(encode_vec(TLV, &Path::object(2), &values).unwrap(), bytes);
}

#[test]
fn object_links_of_the_specification() {
    // LwM2M TS 1.1 §7.4.3.2.3: /65 with two links in a multiple resource; ours is /3/0/22
    let bytes = hex("88 16 0C 44 00 00 42 00 00 44 01 00 42 00 01");
    let link = |instance| {
        OwnedValue::Objlnk(Objlnk {
            object: 66,
            instance,
        })
    };
    let values = decode_all(TLV, &Path::resource(3, 0, 22), &bytes, &Builtin).unwrap();
    let path = |id| Path::resource_instance(3, 0, 22, id);
    assert_eq!(values, [(path(0), link(0)), (path(1), link(1))]);
    assert_eq!(
        encode_vec(TLV, &Path::resource(3, 0, 22), &values).unwrap(),
        bytes
    );
}

#[test]
fn one_resource_and_one_instance() {
    let level = Path::resource(3, 0, 9);
    let values = decode_all(TLV, &level, &hex("C1 09 64"), &Builtin).unwrap();
    assert_eq!(values, [(level, OwnedValue::Integer(100))]);
    let second = Path::resource_instance(3, 0, 7, 1);
    for text in ["42 01 13 88", "84 07 42 01 13 88"] {
        let values = decode_all(TLV, &second, &hex(text), &Builtin).unwrap();
        assert_eq!(values, [(second, OwnedValue::Integer(5000))]);
    }
    let values = [(second, OwnedValue::Integer(5000))];
    assert_eq!(
        encode_vec(TLV, &second, &values[..]).unwrap(),
        hex("42 01 13 88")
    );
}

#[test]
fn without_a_definition_values_are_opaque() {
    let base = Path::instance(3, 0);
    let values = decode_all(TLV, &base, &hex("C1 09 64"), &NoModels).unwrap();
    assert_eq!(
        values,
        [(Path::resource(3, 0, 9), OwnedValue::Opaque(vec![0x64]))]
    );
}

#[test]
fn long_values() {
    let path = Path::resource(5, 0, 0);
    for (len, head) in [
        (7, hex("C7 00")),
        (8, hex("C8 00 08")),
        (0x100, hex("D0 00 01 00")),
        (0x1_0000, hex("D8 00 01 00 00")),
    ] {
        let values = vec![(path, OwnedValue::Opaque(vec![7; len]))];
        let bytes = encode_vec(TLV, &path, &values).unwrap();
        assert!(bytes.starts_with(&head), "{len}");
        assert_eq!(bytes.len(), head.len() + len);
        assert_eq!(decode_all(TLV, &path, &bytes, &Builtin).unwrap(), values);
    }
    let values = vec![(path, OwnedValue::Opaque(vec![7; 0x100_0000]))];
    assert_eq!(encode_vec(TLV, &path, &values), Err(FormatError::TooLong));
}

#[test]
fn refused() {
    let base = Path::instance(3, 0);
    let decode = |text| decode_all(TLV, &base, &hex(text), &Builtin);
    let level = Path::resource(3, 0, 9);
    let wrong = FormatError::WrongType {
        path: level,
        expected: ValueType::Integer,
    };
    assert_eq!(decode("C1 09"), Err(FormatError::Truncated));
    assert_eq!(decode("C8 09 05 01"), Err(FormatError::Truncated));
    assert_eq!(decode("C1 09 64 C1"), Err(FormatError::Truncated));
    assert_eq!(decode("C0 09"), Err(wrong));
    assert_eq!(decode("C3 09 00 00 00"), Err(wrong));
    assert_eq!(decode("41 09 64"), Err(FormatError::Syntax));
    assert_eq!(decode("83 09 C1 00 01"), Err(FormatError::Syntax));
    assert_eq!(decode("03 00 01 00 00"), Err(FormatError::Syntax));
    assert_eq!(
        decode("03 01 C1 09 64"),
        Err(FormatError::OutsideBase(Path::instance(3, 1)))
    );
    assert_eq!(
        decode("C1 09 64 C1 09 64"),
        Err(FormatError::Duplicate(level))
    );
    assert_eq!(
        decode("C0 04"),
        Err(FormatError::NoValue(Path::resource(3, 0, 4)))
    );
    assert_eq!(decode("C1 00 FF"), Err(FormatError::NotUtf8));
    assert_eq!(
        decode_all(TLV, &level, &hex("C1 0A 0F"), &Builtin),
        Err(FormatError::OutsideBase(Path::resource(3, 0, 10)))
    );
    assert_eq!(
        decode_all(TLV, &Path::ROOT, &hex("C1 0A 0F"), &Builtin),
        Err(FormatError::NotAResource(Path::ROOT))
    );
    assert_eq!(
        decode_all(TLV, &Path::object(1), &hex("C1 00 01"), &Builtin),
        Err(FormatError::Syntax)
    );
    assert_eq!(
        decode_all(TLV, &Path::object(2), &hex("20 FF FF"), &Builtin),
        Err(FormatError::BadPath(PathError::Reserved))
    );
}
