use minicbor::Encoder;

use crate::format::{ContentFormat, FormatError, Record, decode, decode_all, encode_vec};
use crate::model::{Builtin, NoModels};
use crate::{Objlnk, OwnedValue, Path, PathError, Value};

const CBOR: ContentFormat = ContentFormat::SENML_CBOR;

#[test]
fn a_pack_with_base_name() {
    // [{-2: "/3/0/", 0: "0", 3: "Acme"}, {0: "9", 2: 100}, {0: "22/0", "vlo": "66:1"}]
    let bytes = b"\x83\xa3\x21\x65/3/0/\x00\x610\x03\x64Acme\xa2\x00\x619\x02\x18\x64\
        \xa2\x00\x6422/0\x63vlo\x6466:1";
    let base = Path::instance(3, 0);
    let expected = vec![
        (Path::resource(3, 0, 0), OwnedValue::String("Acme".into())),
        (Path::resource(3, 0, 9), OwnedValue::Integer(100)),
        (
            Path::resource_instance(3, 0, 22, 0),
            OwnedValue::Objlnk(Objlnk {
                object: 66,
                instance: 1,
            }),
        ),
    ];
    assert_eq!(decode_all(CBOR, &base, bytes, &Builtin).unwrap(), expected);
    assert_eq!(decode_all(CBOR, &base, bytes, &NoModels).unwrap(), expected);
    assert_eq!(encode_vec(CBOR, &base, &expected).unwrap(), bytes);
}

#[test]
fn names_of_one_resource_and_of_many_objects() {
    let level = Path::resource(3, 0, 9);
    let values = vec![(level, OwnedValue::Integer(1))];
    let bytes = encode_vec(CBOR, &level, &values).unwrap();
    assert_eq!(bytes, b"\x81\xa2\x21\x66/3/0/9\x02\x01");
    assert_eq!(decode_all(CBOR, &level, &bytes, &Builtin).unwrap(), values);
    let values = vec![
        (Path::resource(1, 0, 0), OwnedValue::Integer(1)),
        (level, OwnedValue::Integer(1)),
    ];
    let bytes = encode_vec(CBOR, &Path::ROOT, &values).unwrap();
    assert_eq!(
        bytes,
        b"\x82\xa3\x21\x61/\x00\x651/0/0\x02\x01\xa2\x00\x653/0/9\x02\x01"
    );
    assert_eq!(
        decode_all(CBOR, &Path::ROOT, &bytes, &Builtin).unwrap(),
        values
    );
}

#[test]
fn indefinite_lengths_everywhere() {
    // LwM2M clients on minimal encoders send these.
    let bytes = b"\x9f\xbf\x21\x7f\x62/3\x63/0/\xff\x00\x610\x03\x7f\x62Ac\x62me\xff\xff\
        \xbf\x00\x619\x02\xf9\x3c\x00\xff\xff";
    let values = decode_all(CBOR, &Path::object(3), bytes, &Builtin).unwrap();
    let expected = vec![
        (Path::resource(3, 0, 0), OwnedValue::String("Acme".into())),
        (Path::resource(3, 0, 9), OwnedValue::Integer(1)),
    ];
    assert_eq!(values, expected);
}

fn times(bytes: &[u8]) -> Vec<(Option<f64>, OwnedValue)> {
    let mut records = Vec::new();
    let mut visit = |record: Record<'_>| {
        records.push((record.time, record.value.into()));
        Ok(())
    };
    decode(CBOR, &Path::ROOT, bytes, &NoModels, &mut [], &mut visit).unwrap();
    records
}

#[test]
fn base_time_and_base_value() {
    // RFC 8428 §5.1.3 in numbers of §6, with an LwM2M name and a base value.
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes);
    encoder.array(3).unwrap();
    encoder
        .map(5)
        .unwrap()
        .i8(-2)
        .unwrap()
        .str("/3303/0/5700")
        .unwrap();
    encoder.i8(-3).unwrap().f64(1.320_067_464e9).unwrap();
    encoder
        .i8(-5)
        .unwrap()
        .i8(20)
        .unwrap()
        .i8(2)
        .unwrap()
        .f64(1.5)
        .unwrap();
    encoder.i8(1).unwrap().str("Cel").unwrap();
    encoder
        .map(2)
        .unwrap()
        .i8(6)
        .unwrap()
        .i8(5)
        .unwrap()
        .i8(2)
        .unwrap()
        .i8(-1)
        .unwrap();
    encoder
        .map(2)
        .unwrap()
        .i8(6)
        .unwrap()
        .i8(10)
        .unwrap()
        .i8(4)
        .unwrap()
        .bool(true)
        .unwrap();
    let expected = [
        (Some(1.320_067_464e9), OwnedValue::Float(21.5)),
        (Some(1.320_067_469e9), OwnedValue::Integer(19)),
        (Some(1.320_067_474e9), OwnedValue::Boolean(true)),
    ];
    assert_eq!(times(&bytes), expected);
}

#[test]
fn refused() {
    let decode = |bytes: &[u8]| decode_all(CBOR, &Path::object(3), bytes, &Builtin);
    let cases: [(&[u8], FormatError); 24] = [
        (b"", FormatError::Truncated),
        (b"\x9f", FormatError::Truncated),
        (b"\x9b\x7f\0\0\0\0\0\0\0", FormatError::Truncated),
        (b"\xa0", FormatError::Syntax),
        (b"\x80\x00", FormatError::TrailingBytes),
        (b"\x81\x80", FormatError::Syntax),
        (b"\x81\xa0", FormatError::BadPath(PathError::NoLeadingSlash)),
        (b"\x81\xa1\x00\x66/3/0/9", FormatError::MissingValue),
        (b"\x81\xa2\x00\x66/3/0/9\x02", FormatError::Truncated),
        (
            b"\x81\xa3\x00\x66/3/0/9\x02\x01\x02\x01",
            FormatError::DuplicateField,
        ),
        (
            b"\x81\xa3\x00\x66/3/0/9\x02\x01\x04\xf5",
            FormatError::ManyValues,
        ),
        (
            b"\x81\xa2\x00\x64/3/0\x02\x01",
            FormatError::NotAResource(Path::instance(3, 0)),
        ),
        (
            b"\x81\xa2\x00\x66/4/0/1\x02\x01",
            FormatError::OutsideBase(Path::resource(4, 0, 1)),
        ),
        (
            b"\x81\xa2\x00\x67/3/0/09\x02\x01",
            FormatError::BadPath(PathError::NotANumber),
        ),
        (b"\x81\xa2\x00\x66/3/0/9\x05\x01", FormatError::Sum),
        (b"\x81\xa1\x62v_\x01", FormatError::UnknownField),
        (b"\x81\xa1\x61v\x01", FormatError::Syntax),
        (b"\x81\xa1\x20\x0b", FormatError::BadVersion),
        (b"\x81\xa1\x41v\x01", FormatError::Syntax),
        (b"\x81\xa1\x61x\x9f", FormatError::Truncated),
        (b"\x81\xa1\x61x\xff", FormatError::Syntax),
        (
            b"\x81\xa1\x61x\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01",
            FormatError::TooDeep,
        ),
        (b"\x81\xa2\x00\x66/3/0/0\x03\x61\xff", FormatError::NotUtf8),
        (
            b"\x81\xa2\x00\x66/3/0/4\x02\x01",
            FormatError::NoValue(Path::resource(3, 0, 4)),
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(error), "{bytes:02x?}");
    }
    let twice = b"\x82\xa2\x00\x66/3/0/9\x02\x01\xa2\x00\x66/3/0/9\x02\x01";
    assert_eq!(
        decode(twice),
        Err(FormatError::Duplicate(Path::resource(3, 0, 9)))
    );
    let known_version = b"\x81\xa3\x20\x0a\x00\x66/3/0/9\x02\x01";
    assert!(decode(known_version).is_ok());
    let unknown = b"\x81\xa3\x61x\x82\x01\xa1\x02\x03\x00\x66/3/0/9\x02\x01";
    assert!(decode(unknown).is_ok());
}

#[test]
fn out_of_order_is_refused_when_encoding() {
    let one = |resource| (Path::resource(3, 0, resource), Value::Integer(1));
    let instance = (Path::resource_instance(3, 0, 1, 0), Value::Integer(1));
    for (records, bad) in [
        ([one(2), one(1)], one(1).0),
        ([one(1), one(1)], one(1).0),
        ([one(1), instance], instance.0),
    ] {
        let result = encode_vec(CBOR, &Path::instance(3, 0), &records);
        assert_eq!(result, Err(FormatError::NotInOrder(bad)));
    }
    let outside = encode_vec(CBOR, &Path::instance(3, 1), &[one(1)]);
    assert_eq!(outside, Err(FormatError::OutsideBase(one(1).0)));
}
