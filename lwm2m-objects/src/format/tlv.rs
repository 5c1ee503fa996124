//! OMA TLV (content format 11542; LwM2M TS 1.1 §7.4.3).

use super::guard::{self, Guard, emit};
use super::{FormatError, Visitor};
use crate::model::Models;
use crate::{Objlnk, Path, Records, Sink, Value, ValueType};

const INSTANCE: u8 = 0b00;
const RESOURCE_INSTANCE: u8 = 0b01;
const MULTIPLE: u8 = 0b10;
const RESOURCE: u8 = 0b11;

/// Longest value a length field of 24 bits can tell.
const MAX_LEN: usize = 0xff_ffff;

struct Item<'a> {
    kind: u8,
    id: u16,
    value: &'a [u8],
}

/// The items of one level.
struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.item().ok_or(FormatError::Truncated);
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

impl<'a> Items<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, len: usize) -> Option<usize> {
        let bytes = self.take(len)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, &byte| (number << 8) | usize::from(byte)),
        )
    }

    fn item(&mut self) -> Option<Item<'a>> {
        let head = self.number(1)?;
        let id = self.number(if head & 0b10_0000 == 0 { 1 } else { 2 })?;
        let len = match (head >> 3) & 0b11 {
            0 => head & 0b111,
            bytes => self.number(bytes)?,
        };
        Some(Item {
            kind: (head >> 6) as u8,
            id: id as u16,
            value: self.take(len)?,
        })
    }
}

struct Decode<'c, 'v> {
    base: &'c Path,
    models: &'c dyn Models,
    visit: &'c mut Visitor<'v>,
}

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    _: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    if base.is_root() {
        return Err(FormatError::NotAResource(*base));
    }
    let mut decode = Decode {
        base,
        models,
        visit,
    };
    for item in (Items { rest: payload }) {
        decode.top(&item?)?;
    }
    Ok(())
}

impl Decode<'_, '_> {
    /// An item of the outermost level; a payload may leave levels out that the path has told.
    fn top(&mut self, item: &Item<'_>) -> Result<(), FormatError> {
        let object = self.base.truncated(1);
        match (item.kind, self.base.depth()) {
            (INSTANCE, 1 | 2) => {
                let instance = self.within(&object, item.id)?;
                for item in (Items { rest: item.value }) {
                    self.resource(&instance, &item?)?;
                }
                Ok(())
            }
            (RESOURCE | MULTIPLE, 1) => {
                let model = self
                    .base
                    .object_id()
                    .and_then(|id| self.models.object(id, None));
                if model.is_some_and(|model| model.multiple()) {
                    return Err(FormatError::Syntax);
                }
                self.resource(&self.within(&object, 0)?, item)
            }
            (RESOURCE | MULTIPLE, _) => self.resource(&self.base.truncated(2), item),
            (RESOURCE_INSTANCE, 4) => {
                let path = self.within(&self.base.truncated(3), item.id)?;
                self.value(path, item.value)
            }
            _ => Err(FormatError::Syntax),
        }
    }

    fn resource(&mut self, instance: &Path, item: &Item<'_>) -> Result<(), FormatError> {
        let path = self.within(instance, item.id)?;
        match item.kind {
            RESOURCE if self.base.depth() < 4 => self.value(path, item.value),
            MULTIPLE => {
                for item in (Items { rest: item.value }) {
                    let item = item?;
                    if item.kind != RESOURCE_INSTANCE {
                        return Err(FormatError::Syntax);
                    }
                    let path = self.within(&path, item.id)?;
                    self.value(path, item.value)?;
                }
                Ok(())
            }
            _ => Err(FormatError::Syntax),
        }
    }

    /// A child that is above, at or below the path of the request.
    fn within(&self, parent: &Path, id: u16) -> Result<Path, FormatError> {
        let path = parent.child(id).ok_or(crate::PathError::Reserved)?;
        if path.starts_with(self.base) || self.base.starts_with(&path) {
            return Ok(path);
        }
        Err(FormatError::OutsideBase(path))
    }

    fn value(&mut self, path: Path, bytes: &[u8]) -> Result<(), FormatError> {
        let expected = guard::type_of(self.models, &path)?.unwrap_or(ValueType::Opaque);
        let wrong = FormatError::WrongType { path, expected };
        let text = || core::str::from_utf8(bytes).map_err(|_| FormatError::NotUtf8);
        let value = match expected {
            ValueType::String => Value::String(text()?),
            ValueType::Corelnk => Value::Corelnk(text()?),
            ValueType::Opaque => Value::Opaque(bytes),
            ValueType::Integer => Value::Integer(signed(bytes).ok_or(wrong)?),
            ValueType::Time => Value::Time(signed(bytes).ok_or(wrong)?),
            ValueType::UnsignedInteger => Value::UnsignedInteger(unsigned(bytes).ok_or(wrong)?),
            ValueType::Float => Value::Float(float(bytes).ok_or(wrong)?),
            ValueType::Boolean => match bytes {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return Err(wrong),
            },
            ValueType::Objlnk => match *bytes {
                [a, b, c, d] => Value::Objlnk(Objlnk {
                    object: u16::from_be_bytes([a, b]),
                    instance: u16::from_be_bytes([c, d]),
                }),
                _ => return Err(FormatError::BadObjectLink),
            },
            ValueType::None => return Err(FormatError::NoValue(path)),
        };
        emit(self.models, path, None, value, self.visit)
    }
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
        return None;
    }
    Some(
        bytes
            .iter()
            .fold(0, |number, &byte| (number << 8) | u64::from(byte)),
    )
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let unused = 64 - 8 * bytes.len().min(8) as u32;
    unsigned(bytes).map(|number| ((number << unused) as i64) >> unused)
}

fn float(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        4 => Some(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

/// The bytes of a value; numbers are put into `buffer`.
fn bytes<'a>(value: Value<'a>, buffer: &'a mut [u8; 8]) -> &'a [u8] {
    match value {
        Value::String(text) | Value::Corelnk(text) => return text.as_bytes(),
        Value::Opaque(bytes) => return bytes,
        _ => {}
    }
    let len = match value {
        Value::Integer(number) | Value::Time(number) => {
            *buffer = number.to_be_bytes();
            match number {
                -0x80..=0x7f => 1,
                -0x8000..=0x7fff => 2,
                -0x8000_0000..=0x7fff_ffff => 4,
                _ => 8,
            }
        }
        Value::UnsignedInteger(number) => {
            *buffer = number.to_be_bytes();
            match number {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                0x1_0000..=0xffff_ffff => 4,
                _ => 8,
            }
        }
        Value::Float(number) => {
            let single = number as f32;
            if f64::from(single).to_bits() == number.to_bits() {
                buffer[4..].copy_from_slice(&single.to_be_bytes());
                4
            } else {
                *buffer = number.to_be_bytes();
                8
            }
        }
        Value::Boolean(truth) => {
            buffer[7] = u8::from(truth);
            1
        }
        Value::Objlnk(link) => {
            buffer[4..6].copy_from_slice(&link.object.to_be_bytes());
            buffer[6..].copy_from_slice(&link.instance.to_be_bytes());
            4
        }
        Value::String(_) | Value::Corelnk(_) | Value::Opaque(_) => 0,
    };
    &buffer[8 - len..]
}

fn value_len(value: Value<'_>) -> usize {
    bytes(value, &mut [0; 8]).len()
}

const fn head_len(id: u16, len: usize) -> usize {
    let id_len = if id > 0xff { 2 } else { 1 };
    let len_len = match len {
        0..=7 => 0,
        8..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    };
    1 + id_len + len_len
}

fn head(kind: u8, id: u16, len: usize, sink: &mut dyn Sink) -> Result<(), FormatError> {
    if len > MAX_LEN {
        return Err(FormatError::TooLong);
    }
    let mut buffer = [0; 6];
    let size = head_len(id, len);
    let [id_high, id_low] = id.to_be_bytes();
    buffer[0] = kind << 6;
    let mut at = 1;
    if id > 0xff {
        buffer[0] |= 0b10_0000;
        buffer[at] = id_high;
        at += 1;
    }
    buffer[at] = id_low;
    at += 1;
    let len_len = size - at;
    if len_len == 0 {
        buffer[0] |= len as u8;
    } else {
        buffer[0] |= (len_len as u8) << 3;
        buffer[at..size].copy_from_slice(&(len as u32).to_be_bytes()[4 - len_len..]);
    }
    sink.write(&buffer[..size]);
    Ok(())
}

/// Adds up the length of what is below a path, resource by resource.
#[derive(Default)]
struct Measure {
    total: usize,
    /// The resource whose instances are being added, and their sum.
    open: Option<(u16, usize)>,
}

impl Measure {
    fn add(&mut self, path: &Path, value: Value<'_>) {
        let Some(resource) = path.resource_id() else {
            return;
        };
        if self.open.is_some_and(|(open, _)| open != resource) {
            self.close();
        }
        let len = value_len(value);
        match path.resource_instance_id() {
            None => self.total += head_len(resource, len) + len,
            Some(id) => self.open.get_or_insert((resource, 0)).1 += head_len(id, len) + len,
        }
    }

    fn close(&mut self) {
        if let Some((resource, len)) = self.open.take() {
            self.total += head_len(resource, len) + len;
        }
    }
}

fn measure_instance(records: &dyn Records, instance: &Path) -> usize {
    let mut measure = Measure::default();
    records.visit(&mut |path, value| {
        if path.starts_with(instance) {
            measure.add(path, value);
        }
    });
    measure.close();
    measure.total
}

fn measure_resource(records: &dyn Records, resource: &Path) -> usize {
    let mut total = 0;
    records.visit(&mut |path, value| {
        if let (true, Some(id)) = (path.starts_with(resource), path.resource_instance_id()) {
            let len = value_len(value);
            total += head_len(id, len) + len;
        }
    });
    total
}

pub(super) fn encode(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    if base.is_root() {
        return Err(FormatError::NotAResource(*base));
    }
    let mut guard = Guard::new(base);
    let mut instance = None;
    let mut resource = None;
    guard::try_visit(records, &mut |path, value| {
        guard.check(path)?;
        let (Some(instance_id), Some(resource_id)) = (path.instance_id(), path.resource_id())
        else {
            return Err(FormatError::NotAResource(*path));
        };
        if base.depth() == 1 && instance != Some(path.truncated(2)) {
            let below = path.truncated(2);
            head(
                INSTANCE,
                instance_id,
                measure_instance(records, &below),
                sink,
            )?;
            instance = Some(below);
        }
        let (kind, id) = match path.resource_instance_id() {
            None => (RESOURCE, resource_id),
            Some(id) => {
                if base.depth() < 4 && resource != Some(path.truncated(3)) {
                    let below = path.truncated(3);
                    head(
                        MULTIPLE,
                        resource_id,
                        measure_resource(records, &below),
                        sink,
                    )?;
                    resource = Some(below);
                }
                (RESOURCE_INSTANCE, id)
            }
        };
        let mut buffer = [0; 8];
        let bytes = bytes(value, &mut buffer);
        head(kind, id, bytes.len(), sink)?;
        sink.write(bytes);
        Ok(())
    })
}

#[cfg(test)]
#[path = "tlv_tests.rs"]
mod tests;
