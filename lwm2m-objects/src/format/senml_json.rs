//! SenML in JSON (content format 110; RFC 8428 §5).

use super::guard::{self, Guard};
use super::items::{self, Span};
use super::json::{Json, JsonString, escape};
use super::number::{self, Number, parse_json};
use super::senml::{self, Field, Fields, Name, Pack, Raw};
use super::{FormatError, Visitor, base64};
use crate::decimal::{write_i64, write_u64};
use crate::model::Models;
use crate::{MAX_PATH_LEN, Objlnk, Path, Records, Sink, Value};

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let mut json = Json::new(payload);
    let mut pack = Pack::new(base, models, visit);
    json.expect(b'[')?;
    let mut first = true;
    while json.next_item(b']', &mut first)? {
        let fields = record(&mut json, scratch)?;
        pack.record(&fields, payload, scratch)?;
    }
    json.end()
}

fn record(json: &mut Json<'_>, scratch: &mut [u8]) -> Result<Fields, FormatError> {
    let mut fields = Fields::default();
    json.expect(b'{')?;
    let mut first = true;
    while json.next_item(b'}', &mut first)? {
        let label = json.string()?;
        json.expect(b':')?;
        // Long enough for all known labels; of a longer one the end still tells.
        let mut buffer = [0; 4];
        let known = match label.unescape(&mut buffer) {
            Ok(len) => Field::from_label(&buffer[..len]),
            Err(_) => None,
        };
        match known {
            Some(field) => {
                fields.mark(field)?;
                read(json, scratch, field, &mut fields)?;
            }
            None if label.ends_with(b'_') => return Err(FormatError::UnknownField),
            None => json.skip()?,
        }
    }
    Ok(fields)
}

fn number(json: &mut Json<'_>) -> Result<Number, FormatError> {
    parse_json(items::str(json.number()?)?)
}

fn name(json: &mut Json<'_>) -> Result<Name, FormatError> {
    let mut buffer = [0; MAX_PATH_LEN + 2];
    let len = json
        .string()?
        .unescape(&mut buffer)
        .map_err(|_| crate::PathError::TooDeep)?;
    Ok(Name::new(&buffer[..len])?)
}

/// The text without escapes: as it lies in the payload if it has none, else in scratch.
fn text(string: &JsonString<'_>, scratch: &mut [u8]) -> Result<Span, FormatError> {
    if let Some((start, end)) = string.plain() {
        return Ok(Span::Payload { start, end });
    }
    Ok(Span::Scratch {
        len: string.unescape(scratch)?,
    })
}

fn read(
    json: &mut Json<'_>,
    scratch: &mut [u8],
    field: Field,
    fields: &mut Fields,
) -> Result<(), FormatError> {
    match field {
        Field::BaseName => fields.base_name = Some(name(json)?),
        Field::Name => fields.name = name(json)?,
        Field::BaseTime => fields.base_time = Some(number(json)?.float()),
        Field::Time => fields.time = Some(number(json)?.float()),
        Field::BaseValue => fields.base_value = Some(number(json)?),
        Field::BaseVersion => Fields::check_version(number(json)?)?,
        Field::UpdateTime => {
            number(json)?;
        }
        Field::BaseUnit | Field::Unit => {
            json.string()?;
        }
        Field::Sum | Field::BaseSum => return Err(FormatError::Sum),
        _ if fields.has_value() => return Err(FormatError::ManyValues),
        Field::Value => fields.set_value(Raw::Number(number(json)?))?,
        Field::BooleanValue => fields.set_value(Raw::Boolean(json.boolean()?))?,
        Field::StringValue => fields.set_value(Raw::Text(text(&json.string()?, scratch)?))?,
        Field::DataValue => {
            let len = json.string()?.unescape(scratch)?;
            let len = base64::decode_in_place(&mut scratch[..len])?;
            fields.set_value(Raw::Data(Span::Scratch { len }))?;
        }
        Field::LinkValue => {
            let mut buffer = [0; 12];
            let len = json
                .string()?
                .unescape(&mut buffer)
                .map_err(|_| FormatError::BadObjectLink)?;
            let link = Objlnk::parse(items::str(&buffer[..len])?);
            fields.set_value(Raw::Link(link.ok_or(FormatError::BadObjectLink)?))?;
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
    let mut first = true;
    sink.write(b"[");
    guard::try_visit(records, &mut |path, value| {
        guard.check(path)?;
        sink.write(if first { b"{" } else { b",{" });
        if first {
            sink.write(b"\"bn\":\"");
            sink.write(senml::base_name(base, path).as_bytes());
            sink.write(b"\",");
            first = false;
        }
        let text = path.text();
        let name = senml::name(base, &text);
        if !name.is_empty() {
            sink.write(b"\"n\":\"");
            sink.write(name);
            sink.write(b"\",");
        }
        write(value, sink)?;
        sink.write(b"}");
        Ok(())
    })?;
    sink.write(b"]");
    Ok(())
}

fn write(value: Value<'_>, sink: &mut dyn Sink) -> Result<(), FormatError> {
    match value {
        Value::String(text) | Value::Corelnk(text) => {
            sink.write(b"\"vs\":\"");
            escape(text, sink);
            sink.write(b"\"");
        }
        Value::Integer(value) | Value::Time(value) => {
            sink.write(b"\"v\":");
            write_i64(value, sink);
        }
        Value::UnsignedInteger(value) => {
            sink.write(b"\"v\":");
            write_u64(value, sink);
        }
        Value::Float(value) => {
            sink.write(b"\"v\":");
            number::write_f64(value, sink)?;
        }
        Value::Boolean(true) => sink.write(b"\"vb\":true"),
        Value::Boolean(false) => sink.write(b"\"vb\":false"),
        Value::Opaque(bytes) => {
            sink.write(b"\"vd\":\"");
            base64::encode(bytes, base64::Alphabet::Url, sink);
            sink.write(b"\"");
        }
        Value::Objlnk(link) => {
            sink.write(b"\"vlo\":\"");
            link.write(sink);
            sink.write(b"\"");
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "senml_json_tests.rs"]
mod tests;
