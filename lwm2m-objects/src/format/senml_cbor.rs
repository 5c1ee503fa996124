//! SenML in CBOR (content format 112; RFC 8428 §6).

use super::cbor;
use super::fault::Fault;
use super::guard::{self, Guard};
use super::items::{ARRAY, BYTES, Items, MAP, TEXT, str};
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
    let mut items = Items::new(payload);
    let mut pack = Pack::new(base, models, visit);
    let mut left = items.head_of(ARRAY)?.count();
    while items.more(&mut left)? {
        let fields = record::<DECIMALS>(&mut items, scratch)?;
        pack.record(&fields, payload, scratch)?;
    }
    if items.is_empty() {
        Ok(())
    } else {
        Err(FormatError::TrailingBytes)
    }
}

fn record<const DECIMALS: bool>(
    items: &mut Items<'_>,
    scratch: &mut [u8],
) -> Result<Fields, Fault> {
    let mut fields = Fields::default();
    let mut left = items.head_of(MAP)?.count();
    while items.more(&mut left)? {
        match label(items)? {
            Some(field) => {
                fields.mark(field)?;
                read::<DECIMALS>(items, scratch, field, &mut fields)?;
            }
            None => items.skip()?,
        }
    }
    Ok(fields)
}

/// The field of a label; nothing for one that is unknown and may be passed over.
fn label(items: &mut Items<'_>) -> Result<Option<Field>, Fault> {
    if items.major()? != TEXT {
        let number = items.head()?.integer()?;
        let number = i64::try_from(number).map_err(|_| Fault::Syntax)?;
        return Ok(Field::from_number(number));
    }
    // In one piece: there is no place to put pieces together.
    let span = items.string(TEXT, &mut []);
    let span = span.map_err(|_| Fault::Syntax)?;
    let label = str(span.of(items.input(), &[]))?.as_bytes();
    // Labels with a number are not written as text (RFC 8428 §6).
    match Field::from_label(label) {
        Some(Field::LinkValue) => Ok(Some(Field::LinkValue)),
        Some(_) => Err(Fault::Syntax),
        None if label.ends_with(b"_") => Err(Fault::UnknownField),
        None => Ok(None),
    }
}

fn name(items: &mut Items<'_>) -> Result<Name, Fault> {
    let mut buffer = [0; MAX_PATH_LEN + 1];
    let span = match items.string(TEXT, &mut buffer) {
        Err(Fault::ScratchTooSmall) => return Err(Fault::NameTooLong),
        span => span?,
    };
    Name::new(span.of(items.input(), &buffer))
}

fn read<const DECIMALS: bool>(
    items: &mut Items<'_>,
    scratch: &mut [u8],
    field: Field,
    fields: &mut Fields,
) -> Result<(), Fault> {
    match field {
        Field::BaseName => fields.base_name = Some(name(items)?),
        Field::Name => fields.name = name(items)?,
        Field::BaseUnit | Field::Unit => match items.major()? {
            TEXT => items.skip()?,
            _ => return Err(Fault::Syntax),
        },
        Field::Sum | Field::BaseSum => return Err(Fault::Sum),
        Field::BooleanValue | Field::StringValue | Field::DataValue | Field::LinkValue => {
            let value = match field {
                _ if fields.has_value() => return Err(Fault::ManyValues),
                Field::BooleanValue => Raw::Boolean(items.bool()?),
                Field::StringValue => Raw::Text(items.string(TEXT, scratch)?),
                Field::DataValue => Raw::Data(items.string(BYTES, scratch)?),
                _ => {
                    let mut buffer = [0; 11];
                    let span = items.string(TEXT, &mut buffer)?;
                    let text = str(span.of(items.input(), &buffer))?;
                    Raw::Link(Objlnk::parse(text).ok_or(Fault::BadObjectLink)?)
                }
            };
            fields.set_value(value)?;
        }
        Field::Value if fields.has_value() => return Err(Fault::ManyValues),
        Field::BaseTime
        | Field::Time
        | Field::BaseValue
        | Field::BaseVersion
        | Field::UpdateTime
        | Field::Value => {
            let number = cbor::number::<DECIMALS>(items)?;
            match field {
                Field::BaseTime => fields.base_time = Some(number.float()),
                Field::Time => fields.time = Some(number.float()),
                Field::BaseValue => fields.base_value = Some(number),
                Field::BaseVersion => Fields::check_version(number)?,
                Field::Value => fields.set_value(Raw::Number(number))?,
                _ => {}
            }
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
