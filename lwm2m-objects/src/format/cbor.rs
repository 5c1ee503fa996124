//! CBOR, one value (content format 60; LwM2M TS 1.1 §7.4.4), and what SenML CBOR and the
//! capability digest have in common with it.

use super::fault::Fault;
use super::guard::{self, emit};
use super::items::{ARRAY, BYTES, Items, SIMPLE, TAG, TEXT, str};
use super::number::Number;
use super::{FormatError, Visitor, float};
use crate::cbor::{self, Head, Major};
use crate::model::Models;
use crate::{Objlnk, Path, Records, Sink, SliceSink, Value, ValueType};

/// Decimal fractions only if `DECIMALS`.
pub(super) fn decode<const DECIMALS: bool>(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let expected = guard::type_of(models, base)?;
    let mut items = Items::new(payload);
    let value = value::<DECIMALS>(&mut items, expected, scratch)?;
    if !items.is_empty() {
        return Err(FormatError::TrailingBytes);
    }
    emit(models, *base, None, value, visit)
}

/// The next item as a value, of the type that a definition says if there is one; a text or bytes in
/// pieces are put together in `scratch`.
pub(super) fn value<'v, 'p: 'v, const DECIMALS: bool>(
    items: &mut Items<'p>,
    expected: Option<ValueType>,
    scratch: &'v mut [u8],
) -> Result<Value<'v>, FormatError> {
    if items.major()? == TAG && expected == Some(ValueType::Time) {
        let epoch = items.head()?.argument == 1;
        if !epoch || items.major()? == TAG {
            return Err(FormatError::Syntax);
        }
    }
    Ok(match items.major()? {
        SIMPLE if items.at_bool() => Value::Boolean(items.bool()?),
        TEXT => {
            let span = items.string(TEXT, scratch)?;
            let text = str(span.of(items.input(), scratch))?;
            if expected == Some(ValueType::Objlnk) {
                Value::Objlnk(Objlnk::parse(text).ok_or(FormatError::BadObjectLink)?)
            } else {
                Value::String(text)
            }
        }
        BYTES => {
            let span = items.string(BYTES, scratch)?;
            Value::Opaque(span.of(items.input(), scratch))
        }
        _ => number::<DECIMALS>(items)?.value()?,
    })
}

pub(super) fn encode(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    guard::single(base, records, &mut |_, value| {
        match value {
            Value::Objlnk(link) => write_link(sink, link),
            _ => write(sink, value),
        }
        Ok(())
    })
}

/// An object link as the text `object:instance`.
pub(crate) fn write_link(sink: &mut dyn Sink, link: Objlnk) {
    let mut buffer = [0; 11];
    let mut text = SliceSink::new(&mut buffer);
    link.write(&mut text);
    cbor::text(sink, text.finish().unwrap_or_default());
}

/// A value in deterministic encoding, but floats not shorter than 32 bits: not every decoder
/// knows half floats.
pub(crate) fn write(sink: &mut dyn Sink, value: Value<'_>) {
    match value {
        Value::String(text) | Value::Corelnk(text) => cbor::text(sink, text.as_bytes()),
        Value::Integer(value) | Value::Time(value) => cbor::integer(sink, value),
        Value::UnsignedInteger(value) => cbor::head(sink, Major::Unsigned, value),
        Value::Float(value) => {
            let single = value as f32;
            if value.is_nan() || f64::from(single) == value {
                sink.write(&[0xfa]);
                sink.write(&single.to_be_bytes());
            } else {
                sink.write(&[0xfb]);
                sink.write(&value.to_be_bytes());
            }
        }
        Value::Boolean(value) => sink.write(&[0xf4 + u8::from(value)]),
        Value::Opaque(bytes) => {
            cbor::head(sink, Major::Bytes, bytes.len() as u64);
            sink.write(bytes);
        }
        Value::Objlnk(link) => write_link(sink, link),
    }
}

/// An integer, a float of any size, or, if `DECIMALS`, a decimal fraction (tag 4, RFC 8949 §3.4.4).
pub(super) fn number<const DECIMALS: bool>(items: &mut Items<'_>) -> Result<Number, Fault> {
    let head = items.head()?;
    let Head { info, argument, .. } = head;
    Ok(match (head.major, info) {
        (SIMPLE, 25) => Number::Float(f64::from(single(argument as u16))),
        (SIMPLE, 26) => Number::Float(f64::from(f32::from_bits(argument as u32))),
        (SIMPLE, 27) => Number::Float(f64::from_bits(argument)),
        (TAG, _) if DECIMALS => {
            if argument != 4 || items.head_of(ARRAY)?.count() != Some(2) {
                return Err(Fault::Syntax);
            }
            let exponent = items.head()?.integer()?;
            decimal(exponent, items.head()?.integer()?)?
        }
        _ => Number::Integer(head.integer()?),
    })
}

fn decimal(exponent: i128, mantissa: i128) -> Result<Number, Fault> {
    let bad = Fault::BadNumber;
    let power = i32::try_from(exponent).map_err(|_| bad)?;
    let magnitude = u64::try_from(mantissa.unsigned_abs()).map_err(|_| bad)?;
    let value = float::from_decimal(magnitude, power).ok_or(bad)?;
    Ok(Number::Float(if mantissa < 0 { -value } else { value }))
}

/// The half float with these bits; singles have them all.
fn single(half: u16) -> f32 {
    let half = u32::from(half);
    let (sign, exponent, mantissa) = (half >> 15 << 31, half >> 10 & 31, half & 0x3ff);
    f32::from_bits(
        sign | match (exponent, mantissa) {
            (0, 0) => 0,
            (0, _) => {
                // Subnormal: the highest bit set becomes the one that singles leave out.
                let shift = mantissa.leading_zeros() - 21;
                (113 - shift) << 23 | (mantissa << shift & 0x3ff) << 13
            }
            (31, _) => 0xff << 23 | mantissa << 13,
            _ => (exponent + 112) << 23 | mantissa << 13,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::single;
    use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
    use crate::model::{Builtin, NoModels};
    use crate::{Objlnk, OwnedValue, Path, ValueType};

    const CBOR: ContentFormat = ContentFormat::CBOR;

    #[test]
    fn each_type_both_ways() {
        let long = Path::resource(3, 0, 9);
        let cases: [(Path, &[u8], OwnedValue); 9] = [
            (
                Path::resource(3, 0, 0),
                b"\x64Acme",
                OwnedValue::String("Acme".into()),
            ),
            (long, &[0x18, 100], OwnedValue::Integer(100)),
            (
                long,
                &[0x3b, 0x7f, 255, 255, 255, 255, 255, 255, 255],
                OwnedValue::Integer(i64::MIN),
            ),
            (
                Path::resource(1, 0, 17),
                &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255],
                OwnedValue::UnsignedInteger(u64::MAX),
            ),
            (
                Path::resource(6, 0, 0),
                &[0xfa, 0x3f, 0xc0, 0, 0],
                OwnedValue::Float(1.5),
            ),
            (Path::resource(1, 0, 6), &[0xf5], OwnedValue::Boolean(true)),
            (
                Path::resource(5, 0, 0),
                &[0x42, 0, 255],
                OwnedValue::Opaque(vec![0, 255]),
            ),
            (
                Path::resource(3, 0, 13),
                &[0x1a, 0x51, 0x82, 0x42, 0x8f],
                OwnedValue::Time(1_367_491_215),
            ),
            (
                Path::resource_instance(3, 0, 22, 0),
                b"\x6466:1",
                OwnedValue::Objlnk(Objlnk {
                    object: 66,
                    instance: 1,
                }),
            ),
        ];
        for (path, bytes, value) in cases {
            let decoded = decode_all(CBOR, &path, bytes, &Builtin).unwrap();
            assert_eq!(decoded, [(path, value)]);
            assert_eq!(encode_vec(CBOR, &path, &decoded).unwrap(), bytes);
        }
    }

    #[test]
    fn other_encodings_of_the_same() {
        let one = |path, bytes: &[u8]| {
            decode_all(CBOR, &path, bytes, &Builtin)
                .unwrap()
                .remove(0)
                .1
        };
        let latitude = Path::resource(6, 0, 0);
        assert_eq!(one(latitude, &[0xf9, 0x3e, 0x00]), OwnedValue::Float(1.5));
        assert_eq!(one(latitude, &[0x01]), OwnedValue::Float(1.0));
        assert_eq!(
            one(latitude, &[0xc4, 0x82, 0x20, 0x0f]),
            OwnedValue::Float(1.5)
        );
        let time = [0xc1, 0x1a, 0x51, 0x82, 0x42, 0x8f];
        assert_eq!(
            one(Path::resource(3, 0, 13), &time),
            OwnedValue::Time(1_367_491_215)
        );
        let level = Path::resource(3, 0, 9);
        assert_eq!(one(level, &[0xf9, 0x3c, 0x00]), OwnedValue::Integer(1));
        let name = Path::resource(3, 0, 0);
        assert_eq!(
            one(name, b"\x7f\x62Ac\x62me\xff"),
            OwnedValue::String("Acme".into())
        );
        let package = Path::resource(5, 0, 0);
        assert_eq!(
            one(package, b"\x5f\x41a\x41b\xff"),
            OwnedValue::Opaque(b"ab".to_vec())
        );
    }

    #[test]
    fn refused() {
        let level = Path::resource(3, 0, 9);
        let decode = |bytes: &[u8]| decode_all(CBOR, &level, bytes, &NoModels);
        assert_eq!(decode(b""), Err(FormatError::Truncated));
        assert_eq!(decode(&[0x18]), Err(FormatError::Truncated));
        assert_eq!(decode(&[0x01, 0x01]), Err(FormatError::TrailingBytes));
        assert_eq!(decode(&[0x81, 0x01]), Err(FormatError::Syntax));
        assert_eq!(decode(&[0xa0]), Err(FormatError::Syntax));
        assert_eq!(decode(&[0xf6]), Err(FormatError::Syntax));
        assert_eq!(decode(&[0xff]), Err(FormatError::Syntax));
        assert_eq!(decode(&[0x61, 0xff]), Err(FormatError::NotUtf8));
        assert_eq!(
            decode(&[0x7b, 127, 0, 0, 0, 0, 0, 0, 0]),
            Err(FormatError::Truncated)
        );
        assert_eq!(decode(&[0x7f, 0x41, 0, 0xff]), Err(FormatError::Syntax));
        assert_eq!(decode(&[0x7f, 0x61]), Err(FormatError::Truncated));
        let huge = [0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&huge), Err(FormatError::BadNumber));
        let wrong = FormatError::WrongType {
            path: level,
            expected: ValueType::Integer,
        };
        assert_eq!(decode_all(CBOR, &level, &[0xf5], &Builtin), Err(wrong));
        assert_eq!(
            decode_all(CBOR, &level, &[0x61, b'1'], &Builtin),
            Err(wrong)
        );
    }

    #[test]
    fn half_floats() {
        // RFC 8949 §A
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0x3e00, 1.5),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 0.000_061_035_156_25),
            (0xc400, -4.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ];
        for (half, value) in cases {
            assert_eq!(f64::from(single(half)), value, "{half:04x}");
        }
        assert!(f64::from(single(0x8000)).is_sign_negative());
        assert!(f64::from(single(0x7e00)).is_nan());
    }
}
