//! SenML in CBOR (content format 112; RFC 8428 §6).

use minicbor::Decoder;
use minicbor::data::Type;

use super::cbor::{self, at_break, peek, skip, syntax};
use super::guard::{self, Guard};
use super::senml::{self, Field, Fields, Name, Pack, Raw};
use super::{FormatError, Visitor};
use crate::cbor::{Major, head};
use crate::model::Models;
use crate::{MAX_PATH_LEN, Objlnk, Path, Records, Sink, Value};

/// Decimal fractions only if `DECIMALS`.
pub(super) fn decode<const DECIMALS: bool>(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let mut decoder = Decoder::new(payload);
    let mut pack = Pack::new(base, models, visit);
    let mut left = decoder.array().map_err(syntax)?;
    while more(&mut decoder, &mut left)? {
        let fields = record::<DECIMALS>(&mut decoder, scratch)?;
        pack.record(&fields, payload, scratch)?;
    }
    if decoder.position() == payload.len() {
        Ok(())
    } else {
        Err(FormatError::TrailingBytes)
    }
}

/// Is there another item in a container that says its length, or is open?
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, FormatError> {
    match left {
        None => Ok(!at_break(decoder)?),
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
    }
}

fn record<const DECIMALS: bool>(
    decoder: &mut Decoder<'_>,
    scratch: &mut [u8],
) -> Result<Fields, FormatError> {
    let mut fields = Fields::default();
    let mut left = decoder.map().map_err(syntax)?;
    while more(decoder, &mut left)? {
        match label(decoder)? {
            Some(field) => {
                fields.mark(field)?;
                read::<DECIMALS>(decoder, scratch, field, &mut fields)?;
            }
            None => skip(decoder)?,
        }
    }
    Ok(fields)
}

/// The field of a label; nothing for one that is unknown and may be passed over.
fn label(decoder: &mut Decoder<'_>) -> Result<Option<Field>, FormatError> {
    match peek(decoder)? {
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64 => Ok(Field::from_number(decoder.i64().map_err(syntax)?)),
        Type::String => {
            let label = decoder.str().map_err(|_| FormatError::NotUtf8)?;
            // Labels with a number are not written as text (RFC 8428 §6).
            match Field::from_label(label.as_bytes()) {
                Some(Field::LinkValue) => Ok(Some(Field::LinkValue)),
                Some(_) => Err(FormatError::Syntax),
                None if label.ends_with('_') => Err(FormatError::UnknownField),
                None => Ok(None),
            }
        }
        _ => Err(FormatError::Syntax),
    }
}

fn name(decoder: &mut Decoder<'_>) -> Result<Name, FormatError> {
    let mut buffer = [0; MAX_PATH_LEN + 1];
    let span = match cbor::text(decoder, &mut buffer) {
        Err(FormatError::ScratchTooSmall) => return Err(crate::PathError::TooDeep.into()),
        span => span?,
    };
    Name::new(span.of(decoder.input(), &buffer))
}

fn read<const DECIMALS: bool>(
    decoder: &mut Decoder<'_>,
    scratch: &mut [u8],
    field: Field,
    fields: &mut Fields,
) -> Result<(), FormatError> {
    let input = decoder.input();
    match field {
        Field::BaseName => fields.base_name = Some(name(decoder)?),
        Field::Name => fields.name = name(decoder)?,
        Field::BaseTime => fields.base_time = Some(cbor::number::<DECIMALS>(decoder)?.float()),
        Field::Time => fields.time = Some(cbor::number::<DECIMALS>(decoder)?.float()),
        Field::BaseValue => fields.base_value = Some(cbor::number::<DECIMALS>(decoder)?),
        Field::BaseVersion => Fields::check_version(cbor::number::<DECIMALS>(decoder)?)?,
        Field::UpdateTime => {
            cbor::number::<DECIMALS>(decoder)?;
        }
        Field::BaseUnit | Field::Unit => match peek(decoder)? {
            Type::String | Type::StringIndef => skip(decoder)?,
            _ => return Err(FormatError::Syntax),
        },
        Field::Sum | Field::BaseSum => return Err(FormatError::Sum),
        _ if fields.has_value() => return Err(FormatError::ManyValues),
        Field::Value => fields.set_value(Raw::Number(cbor::number::<DECIMALS>(decoder)?))?,
        Field::BooleanValue => {
            fields.set_value(Raw::Boolean(decoder.bool().map_err(syntax)?))?;
        }
        Field::StringValue => fields.set_value(Raw::Text(cbor::text(decoder, scratch)?))?,
        Field::DataValue => fields.set_value(Raw::Data(cbor::bytes(decoder, scratch)?))?,
        Field::LinkValue => {
            let mut buffer = [0; 11];
            let span = cbor::text(decoder, &mut buffer)?;
            let text = cbor::str(span.of(input, &buffer))?;
            let link = Objlnk::parse(text).ok_or(FormatError::BadObjectLink)?;
            fields.set_value(Raw::Link(link))?;
        }
    }
    Ok(())
}

pub(super) fn encode(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    let mut guard = Guard::new(base);
    let mut count = 0u64;
    guard::try_visit(records, &mut |path, _| {
        count += 1;
        guard.check(path)
    })?;
    head(sink, Major::Array, count);
    let mut first = true;
    records.visit(&mut |path, value| {
        let text = path.text();
        let name = senml::name(base, &text);
        let named = !name.is_empty();
        head(sink, Major::Map, 1 + u64::from(first) + u64::from(named));
        // The base name first: there are decoders that take the fields in this order only.
        if first {
            head(sink, Major::Negative, 1);
            crate::cbor::text(sink, senml::base_name(base, path).as_bytes());
            first = false;
        }
        if named {
            head(sink, Major::Unsigned, 0);
            crate::cbor::text(sink, name);
        }
        match value {
            Value::String(_) | Value::Corelnk(_) => head(sink, Major::Unsigned, 3),
            Value::Boolean(_) => head(sink, Major::Unsigned, 4),
            Value::Opaque(_) => head(sink, Major::Unsigned, 8),
            Value::Objlnk(_) => crate::cbor::text(sink, b"vlo"),
            Value::Integer(_) | Value::UnsignedInteger(_) | Value::Float(_) | Value::Time(_) => {
                head(sink, Major::Unsigned, 2);
            }
        }
        cbor::write(sink, value);
    });
    Ok(())
}

#[cfg(test)]
#[path = "senml_cbor_tests.rs"]
mod tests;
