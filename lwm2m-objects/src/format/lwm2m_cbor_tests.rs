use std::vec::Vec;

use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
use crate::model::Builtin;
use crate::{Objlnk, OwnedValue, Path, PathError};

const FORMAT: ContentFormat = ContentFormat::LWM2M_CBOR;

fn decode(base: Path, bytes: &[u8]) -> Result<Vec<(Path, OwnedValue)>, FormatError> {
    decode_all(FORMAT, &base, bytes, &Builtin)
}

fn battery() -> Vec<(Path, OwnedValue)> {
    vec![
        (Path::resource(3, 0, 0), OwnedValue::String("Acme".into())),
        (
            Path::resource_instance(3, 0, 7, 0),
            OwnedValue::Integer(3800),
        ),
        (
            Path::resource_instance(3, 0, 7, 1),
            OwnedValue::Integer(5000),
        ),
        (Path::resource(3, 0, 9), OwnedValue::Integer(100)),
    ]
}

#[test]
fn nested_maps_and_keys_with_several_ids_say_the_same() {
    // {3: {0: {0: "Acme", 7: {0: 3800, 1: 5000}, 9: 100}}}
    let nested =
        b"\xa1\x03\xa1\x00\xa3\x00\x64Acme\x07\xa2\x00\x19\x0e\xd8\x01\x19\x13\x88\x09\x18\x64";
    // {[3, 0]: {0: "Acme", [7, 0]: 3800, 7: {1: 5000}}, [3, 0, 9]: 100}
    let joined =
        b"\xbf\x82\x03\x00\xbf\x00\x64Acme\x82\x07\x00\x19\x0e\xd8\x07\xa1\x01\x19\x13\x88\xff\
        \x9f\x03\x00\x09\xff\x18\x64\xff";
    for bytes in [&nested[..], joined] {
        for base in [Path::ROOT, Path::object(3), Path::instance(3, 0)] {
            assert_eq!(decode(base, bytes), Ok(battery()));
        }
    }
    let encoded = encode_vec(FORMAT, &Path::object(3), &battery()).unwrap();
    let open = b"\xbf\x03\xbf\x00\xbf\x00\x64Acme\x07\xbf\x00\x19\x0e\xd8\x01\x19\x13\x88\xff\x09\x18\x64\xff\xff\xff";
    assert_eq!(encoded, open);
}

#[test]
fn every_type() {
    let values = vec![
        (Path::resource(1, 0, 6), OwnedValue::Boolean(true)),
        (
            Path::resource(1, 0, 17),
            OwnedValue::UnsignedInteger(u64::MAX),
        ),
        (Path::resource(1, 1, 7), OwnedValue::String("U".into())),
        (Path::resource(3, 0, 13), OwnedValue::Time(1_367_491_215)),
        (
            Path::resource_instance(3, 0, 22, 0),
            OwnedValue::Objlnk(Objlnk {
                object: 66,
                instance: 1,
            }),
        ),
        (Path::resource(5, 0, 0), OwnedValue::Opaque(vec![0, 255])),
        (Path::resource(6, 0, 0), OwnedValue::Float(1.5)),
    ];
    let bytes = encode_vec(FORMAT, &Path::ROOT, &values).unwrap();
    assert_eq!(decode(Path::ROOT, &bytes), Ok(values));
    // As others write a time, and a text in pieces.
    let tagged = b"\xa1\x83\x03\x00\x0d\xc1\x1a\x51\x82\x42\x8f";
    let time = OwnedValue::Time(1_367_491_215);
    assert_eq!(decode(Path::ROOT, tagged).unwrap()[0].1, time);
    let pieces = b"\xa1\x83\x03\x00\x00\x7f\x62Ac\x62me\xff";
    let name = OwnedValue::String("Acme".into());
    assert_eq!(decode(Path::ROOT, pieces).unwrap()[0].1, name);
}

#[test]
fn refused() {
    let device = Path::instance(3, 0);
    let level = Path::resource(3, 0, 9);
    for (bytes, error) in [
        (&b""[..], FormatError::Truncated),
        (b"\x81\x01", FormatError::Syntax),
        (b"\xa1", FormatError::Truncated),
        (b"\xa0\x00", FormatError::TrailingBytes),
        (b"\xbf\x83\x03\x00\x09\x01", FormatError::Truncated),
        (b"\xa1\x80\x01", FormatError::Syntax),
        (b"\xa1\x61\x33\x01", FormatError::Syntax),
        (b"\xa1\x82\x03\x00\x01", FormatError::NotAResource(device)),
        (
            b"\xa1\x83\x04\x00\x09\x01",
            FormatError::OutsideBase(Path::resource(4, 0, 9)),
        ),
        (
            b"\xa1\x85\x03\x00\x07\x00\x00\x01",
            FormatError::BadPath(PathError::TooDeep),
        ),
        (
            b"\xa1\x03\xa1\x00\xa1\x07\xa1\x00\xa1\x00\x01",
            FormatError::BadPath(PathError::TooDeep),
        ),
        (
            b"\xa1\x1a\x00\x01\x00\x00\x01",
            FormatError::BadPath(PathError::TooLarge),
        ),
        (b"\xa1\x20\x01", FormatError::BadPath(PathError::TooLarge)),
        (
            b"\xa1\x82\x03\x19\xff\xff\x01",
            FormatError::BadPath(PathError::Reserved),
        ),
        (b"\xa1\x83\x03\x00\x09\xf6", FormatError::Syntax),
        (
            b"\xa2\x83\x03\x00\x09\x01\x83\x03\x00\x09\x02",
            FormatError::Duplicate(level),
        ),
        (
            b"\xa1\x83\x03\x00\x04\x01",
            FormatError::NoValue(Path::resource(3, 0, 4)),
        ),
    ] {
        assert_eq!(decode(device, bytes), Err(error), "{bytes:02x?}");
    }
    let maps = [0xa1, 0x03].repeat(10_000);
    let deep = Err(FormatError::BadPath(PathError::TooDeep));
    assert_eq!(decode(Path::ROOT, &maps), deep);
}
