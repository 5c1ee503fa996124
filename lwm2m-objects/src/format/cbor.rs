//! CBOR, one value (content format 60; LwM2M TS 1.1 §7.4.4), and what SenML CBOR and the
//! capability digest have in common with it.

use minicbor::Decoder;
use minicbor::data::{Tag, Type};
use minicbor::decode::Error;

use super::guard::{self, emit};
use super::number::Number;
use super::{FormatError, Visitor, float};
use crate::cbor::{self, Major};
use crate::model::Models;
use crate::{Objlnk, Path, Records, Sink, SliceSink, Value, ValueType};

const TEXT: u8 = 3;
const BYTES: u8 = 2;

/// Deepest nesting of what is skipped.
const MAX_DEPTH: u8 = 16;

// By value, as map_err wants it.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn syntax(error: Error) -> FormatError {
    if error.is_end_of_input() {
        FormatError::Truncated
    } else {
        FormatError::Syntax
    }
}

/// Decimal fractions only if `DECIMALS`.
pub(super) fn decode<const DECIMALS: bool>(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let expected = guard::type_of(models, base)?;
    let mut decoder = Decoder::new(payload);
    if peek(&decoder)? == Type::Tag && expected == Some(ValueType::Time) {
        let epoch = decoder.tag().map_err(syntax)? == Tag::new(1);
        if !epoch || peek(&decoder)? == Type::Tag {
            return Err(FormatError::Syntax);
        }
    }
    let value = match peek(&decoder)? {
        Type::Bool => Value::Boolean(decoder.bool().map_err(syntax)?),
        Type::String | Type::StringIndef => {
            let span = text(&mut decoder, scratch)?;
            let text = str(span.of(payload, scratch))?;
            if expected == Some(ValueType::Objlnk) {
                Value::Objlnk(Objlnk::parse(text).ok_or(FormatError::BadObjectLink)?)
            } else {
                Value::String(text)
            }
        }
        Type::Bytes | Type::BytesIndef => {
            let span = bytes(&mut decoder, scratch)?;
            Value::Opaque(span.of(payload, scratch))
        }
        _ => number::<DECIMALS>(&mut decoder)?.value()?,
    };
    if decoder.position() != payload.len() {
        return Err(FormatError::TrailingBytes);
    }
    emit(models, *base, None, value, visit)
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
    use core::fmt::Write as _;
    let mut buffer = [0; 11];
    let mut text = SliceSink::new(&mut buffer);
    let _ = write!(super::number::Text(&mut text), "{link}");
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

/// Where a text or a byte string lies: in the payload, or put together at the start of scratch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Span {
    Payload { start: usize, end: usize },
    Scratch { len: usize },
}

impl Span {
    pub(super) fn of<'a>(self, payload: &'a [u8], scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Payload { start, end } => payload.get(start..end),
            Self::Scratch { len } => scratch.get(..len),
        }
        .unwrap_or_default()
    }
}

pub(super) fn str(bytes: &[u8]) -> Result<&str, FormatError> {
    core::str::from_utf8(bytes).map_err(|_| FormatError::NotUtf8)
}

pub(super) fn peek(decoder: &Decoder<'_>) -> Result<Type, FormatError> {
    decoder.datatype().map_err(syntax)
}

/// A text string; chunks of indefinite length are put together in scratch.
pub(super) fn text(decoder: &mut Decoder<'_>, scratch: &mut [u8]) -> Result<Span, FormatError> {
    string(decoder, scratch, TEXT)
}

/// A byte string; as [`text`].
pub(super) fn bytes(decoder: &mut Decoder<'_>, scratch: &mut [u8]) -> Result<Span, FormatError> {
    string(decoder, scratch, BYTES)
}

fn string(decoder: &mut Decoder<'_>, scratch: &mut [u8], major: u8) -> Result<Span, FormatError> {
    let input = decoder.input();
    let mut at = decoder.position();
    let first = *input.get(at).ok_or(FormatError::Truncated)?;
    if first != major << 5 | 31 {
        let (start, end) = chunk(input, at, major)?;
        decoder.set_position(end);
        return Ok(Span::Payload { start, end });
    }
    at += 1;
    let mut len = 0;
    loop {
        if *input.get(at).ok_or(FormatError::Truncated)? == 0xff {
            decoder.set_position(at + 1);
            return Ok(Span::Scratch { len });
        }
        let (start, end) = chunk(input, at, major)?;
        let target = scratch.get_mut(len..len + (end - start));
        target
            .ok_or(FormatError::ScratchTooSmall)?
            .copy_from_slice(&input[start..end]);
        if major == TEXT {
            str(&input[start..end])?;
        }
        len += end - start;
        at = end;
    }
}

/// Start and end of the content of a string of definite length.
fn chunk(input: &[u8], at: usize, major: u8) -> Result<(usize, usize), FormatError> {
    let first = *input.get(at).ok_or(FormatError::Truncated)?;
    if first >> 5 != major {
        return Err(FormatError::Syntax);
    }
    let extra = match first & 31 {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(FormatError::Syntax),
    };
    let start = at + 1 + extra;
    let argument = input.get(at + 1..start).ok_or(FormatError::Truncated)?;
    let len = match argument {
        [] => u64::from(first & 31),
        bytes => bytes
            .iter()
            .fold(0, |len, &byte| (len << 8) | u64::from(byte)),
    };
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| start.checked_add(len));
    let end = end
        .filter(|end| *end <= input.len())
        .ok_or(FormatError::Truncated)?;
    Ok((start, end))
}

/// An integer, a float of any size, or, if `DECIMALS`, a decimal fraction (tag 4, RFC 8949 §3.4.4).
pub(super) fn number<const DECIMALS: bool>(
    decoder: &mut Decoder<'_>,
) -> Result<Number, FormatError> {
    Ok(match peek(decoder)? {
        Type::F16 => {
            let at = decoder.position() + 1;
            let half = decoder
                .input()
                .get(at..at + 2)
                .ok_or(FormatError::Truncated)?;
            decoder.set_position(at + 2);
            Number::Float(f64::from(single(u16::from_be_bytes([half[0], half[1]]))))
        }
        Type::F32 => Number::Float(f64::from(decoder.f32().map_err(syntax)?)),
        Type::F64 => Number::Float(decoder.f64().map_err(syntax)?),
        Type::Tag if DECIMALS => {
            let fraction = decoder.tag().map_err(syntax)? == Tag::new(4);
            if !fraction || decoder.array().map_err(syntax)? != Some(2) {
                return Err(FormatError::Syntax);
            }
            decimal(integer(decoder)?, integer(decoder)?)?
        }
        _ => Number::Integer(integer(decoder)?),
    })
}

fn integer(decoder: &mut Decoder<'_>) -> Result<i128, FormatError> {
    match peek(decoder)? {
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => decoder.int().map(i128::from).map_err(syntax),
        _ => Err(FormatError::Syntax),
    }
}

fn decimal(exponent: i128, mantissa: i128) -> Result<Number, FormatError> {
    let bad = FormatError::BadNumber;
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

/// Passes over one item of any kind.
pub(super) fn skip(decoder: &mut Decoder<'_>) -> Result<(), FormatError> {
    skip_within(decoder, MAX_DEPTH)
}

fn skip_within(decoder: &mut Decoder<'_>, depth: u8) -> Result<(), FormatError> {
    let inner = depth.checked_sub(1).ok_or(FormatError::TooDeep)?;
    let (count, width) = match peek(decoder)? {
        Type::Array | Type::ArrayIndef => (decoder.array().map_err(syntax)?, 1),
        Type::Map | Type::MapIndef => (decoder.map().map_err(syntax)?, 2),
        Type::Tag => {
            decoder.tag().map_err(syntax)?;
            (Some(1), 1)
        }
        Type::StringIndef => return skip_string(decoder, TEXT),
        Type::BytesIndef => return skip_string(decoder, BYTES),
        Type::Break => return Err(FormatError::Syntax),
        _ => return decoder.skip().map_err(syntax),
    };
    let mut left = count;
    while left != Some(0) {
        if left.is_none() && at_break(decoder)? {
            break;
        }
        for _ in 0..width {
            skip_within(decoder, inner)?;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn skip_string(decoder: &mut Decoder<'_>, major: u8) -> Result<(), FormatError> {
    let input = decoder.input();
    let mut at = decoder.position() + 1;
    while *input.get(at).ok_or(FormatError::Truncated)? != 0xff {
        at = chunk(input, at, major)?.1;
    }
    decoder.set_position(at + 1);
    Ok(())
}

/// Takes the end of an item of indefinite length, if it is next.
pub(super) fn at_break(decoder: &mut Decoder<'_>) -> Result<bool, FormatError> {
    let at = decoder.position();
    let next = *decoder.input().get(at).ok_or(FormatError::Truncated)?;
    if next == 0xff {
        decoder.set_position(at + 1);
    }
    Ok(next == 0xff)
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
