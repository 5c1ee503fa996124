//! Plain text, one value (content format 0; LwM2M TS 1.1 §7.4.1 and appendix C).

use super::base64::{self, Alphabet};
use super::guard::{self, emit};
use super::number::{self, Number, parse_integer, parse_json};
use super::{ContentFormat, FormatError, Visitor};
use crate::decimal::{write_i64, write_u64};
use crate::model::Models;
use crate::{Objlnk, Path, Records, Sink, Value, ValueType};

/// Floats only if `FLOATS`; else the format is not supported for them.
pub(super) fn decode<const FLOATS: bool>(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let expected = guard::type_of(models, base)?.unwrap_or(ValueType::String);
    let wrong = FormatError::WrongType {
        path: *base,
        expected,
    };
    let text = core::str::from_utf8(payload).map_err(|_| FormatError::NotUtf8)?;
    let value = match expected {
        ValueType::String => Value::String(text),
        ValueType::Corelnk => Value::Corelnk(text),
        ValueType::Boolean => match text {
            "0" => Value::Boolean(false),
            "1" => Value::Boolean(true),
            _ => return Err(wrong),
        },
        ValueType::Objlnk => Value::Objlnk(Objlnk::parse(text).ok_or(FormatError::BadObjectLink)?),
        ValueType::Opaque => {
            let scratch = scratch
                .get_mut(..payload.len())
                .ok_or(FormatError::ScratchTooSmall)?;
            scratch.copy_from_slice(payload);
            let len = base64::decode_in_place(scratch)?;
            Value::Opaque(&scratch[..len])
        }
        ValueType::Integer | ValueType::UnsignedInteger | ValueType::Time => {
            match parse_integer(text)? {
                Some(value) => Number::Integer(value).value()?,
                None if FLOATS => {
                    parse_json(text)?;
                    return Err(wrong);
                }
                None => return Err(FormatError::BadNumber),
            }
        }
        ValueType::Float if FLOATS => Value::Float(parse_json(text)?.float()),
        ValueType::Float => return Err(FormatError::UnsupportedFormat(ContentFormat::TEXT)),
        ValueType::None => return Err(FormatError::NoValue(*base)),
    };
    emit(models, *base, None, value, visit)
}

/// As [`decode`].
pub(super) fn encode<const FLOATS: bool>(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    guard::single(base, records, &mut |_, value| {
        match value {
            Value::String(text) | Value::Corelnk(text) => sink.write(text.as_bytes()),
            Value::Integer(value) | Value::Time(value) => write_i64(value, sink),
            Value::UnsignedInteger(value) => write_u64(value, sink),
            Value::Float(value) if FLOATS => return number::write_f64(value, sink),
            Value::Float(_) => return Err(FormatError::UnsupportedFormat(ContentFormat::TEXT)),
            Value::Boolean(value) => sink.write(if value { b"1" } else { b"0" }),
            Value::Opaque(bytes) => base64::encode(bytes, Alphabet::Standard, sink),
            Value::Objlnk(link) => link.write(sink),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
    use crate::model::{Builtin, NoModels};
    use crate::{Objlnk, OwnedValue, Path, ValueType};

    #[test]
    fn each_type_both_ways() {
        let cases = [
            (
                Path::resource(3, 0, 0),
                "Acme",
                OwnedValue::String("Acme".into()),
            ),
            (
                Path::resource(3, 0, 0),
                "",
                OwnedValue::String(String::new()),
            ),
            (Path::resource(3, 0, 9), "-3", OwnedValue::Integer(-3)),
            (
                Path::resource(3, 0, 13),
                "1700000000",
                OwnedValue::Time(1_700_000_000),
            ),
            (
                Path::resource(1, 0, 17),
                "18446744073709551615",
                OwnedValue::UnsignedInteger(u64::MAX),
            ),
            (Path::resource(6, 0, 0), "-43.25", OwnedValue::Float(-43.25)),
            (Path::resource(1, 0, 6), "1", OwnedValue::Boolean(true)),
            (
                Path::resource(5, 0, 0),
                "AP8=",
                OwnedValue::Opaque(vec![0, 255]),
            ),
            (
                Path::resource_instance(3, 0, 22, 0),
                "66:1",
                OwnedValue::Objlnk(Objlnk {
                    object: 66,
                    instance: 1,
                }),
            ),
        ];
        for (path, text, value) in cases {
            let bytes = text.as_bytes();
            let decoded = decode_all(ContentFormat::TEXT, &path, bytes, &Builtin).unwrap();
            assert_eq!(decoded, [(path, value)]);
            assert_eq!(
                encode_vec(ContentFormat::TEXT, &path, &decoded).unwrap(),
                bytes
            );
        }
    }

    #[test]
    fn refused() {
        let decode = |path, text: &[u8]| decode_all(ContentFormat::TEXT, &path, text, &Builtin);
        let level = Path::resource(3, 0, 9);
        let wrong = |path, expected| Err(FormatError::WrongType { path, expected });
        assert_eq!(decode(level, b"1.0"), wrong(level, ValueType::Integer));
        for bad in ["", " 1", "+1", "1 ", "0x10", "01"] {
            assert_eq!(
                decode(level, bad.as_bytes()),
                Err(FormatError::BadNumber),
                "{bad}"
            );
        }
        let storing = Path::resource(1, 0, 6);
        assert_eq!(decode(storing, b"true"), wrong(storing, ValueType::Boolean));
        let count = Path::resource(1, 0, 17);
        assert_eq!(
            decode(count, b"-1"),
            wrong(count, ValueType::UnsignedInteger)
        );
        let reboot = Path::resource(3, 0, 4);
        assert_eq!(decode(reboot, b""), Err(FormatError::NoValue(reboot)));
        assert_eq!(
            decode(Path::resource(3, 0, 0), b"\xff"),
            Err(FormatError::NotUtf8)
        );
        assert_eq!(
            decode(Path::resource(5, 0, 0), b"A"),
            Err(FormatError::BadBase64)
        );
        assert_eq!(
            decode(Path::resource(3, 0, 22), b"1"),
            Err(FormatError::BadObjectLink)
        );
        let unknown = Path::resource(9999, 0, 0);
        let values = decode_all(ContentFormat::TEXT, &unknown, b"1", &NoModels).unwrap();
        assert_eq!(values, [(unknown, OwnedValue::String("1".into()))]);
    }
}
