//! What SenML in JSON and in CBOR have in common (RFC 8428; LwM2M TS 1.1 §7.4.5).

use super::fault::Fault;
use super::guard::emit;
use super::items::{Span, str};
use super::number::Number;
use super::{FormatError, Visitor};
use crate::model::Models;
use crate::{MAX_PATH_LEN, Objlnk, Path, Value};

/// The fields of a record (RFC 8428 §4.4; `vlo` is LwM2M's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    BaseVersion,
    Name,
    Unit,
    Value,
    StringValue,
    BooleanValue,
    Sum,
    Time,
    UpdateTime,
    DataValue,
    LinkValue,
}

impl Field {
    pub(super) fn from_label(label: &[u8]) -> Option<Self> {
        Some(match label {
            b"bn" => Self::BaseName,
            b"bt" => Self::BaseTime,
            b"bu" => Self::BaseUnit,
            b"bv" => Self::BaseValue,
            b"bs" => Self::BaseSum,
            b"bver" => Self::BaseVersion,
            b"n" => Self::Name,
            b"u" => Self::Unit,
            b"v" => Self::Value,
            b"vs" => Self::StringValue,
            b"vb" => Self::BooleanValue,
            b"s" => Self::Sum,
            b"t" => Self::Time,
            b"ut" => Self::UpdateTime,
            b"vd" => Self::DataValue,
            b"vlo" => Self::LinkValue,
            _ => return None,
        })
    }

    /// RFC 8428 §6, table 4.
    pub(super) fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            -1 => Self::BaseVersion,
            -2 => Self::BaseName,
            -3 => Self::BaseTime,
            -4 => Self::BaseUnit,
            -5 => Self::BaseValue,
            -6 => Self::BaseSum,
            0 => Self::Name,
            1 => Self::Unit,
            2 => Self::Value,
            3 => Self::StringValue,
            4 => Self::BooleanValue,
            5 => Self::Sum,
            6 => Self::Time,
            7 => Self::UpdateTime,
            8 => Self::DataValue,
            _ => return None,
        })
    }
}

/// A name, or the start of one; no longer than a path.
#[derive(Clone, Copy, Default)]
pub(super) struct Name {
    bytes: [u8; MAX_PATH_LEN + 1],
    len: usize,
}

impl Name {
    pub(super) fn new(text: &[u8]) -> Result<Self, Fault> {
        let mut name = Self {
            len: text.len(),
            ..Self::default()
        };
        let target = name.bytes.get_mut(..text.len()).ok_or(Fault::NameTooLong)?;
        target.copy_from_slice(text);
        Ok(name)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A value before it is known whose it is.
#[derive(Clone, Copy)]
pub(super) enum Raw {
    Number(Number),
    Boolean(bool),
    Text(Span),
    Data(Span),
    Link(Objlnk),
}

/// What the fields of one record say.
#[derive(Default)]
pub(super) struct Fields {
    seen: u16,
    pub(super) base_name: Option<Name>,
    pub(super) base_time: Option<f64>,
    pub(super) base_value: Option<Number>,
    pub(super) name: Name,
    pub(super) time: Option<f64>,
    value: Option<Raw>,
}

impl Fields {
    /// Notes that a field is there.
    pub(super) fn mark(&mut self, field: Field) -> Result<(), Fault> {
        let bit = 1 << field as u16;
        if self.seen & bit != 0 {
            return Err(Fault::DuplicateField);
        }
        self.seen |= bit;
        match field {
            Field::Sum | Field::BaseSum => Err(Fault::Sum),
            _ => Ok(()),
        }
    }

    pub(super) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn set_value(&mut self, value: Raw) -> Result<(), Fault> {
        if self.value.is_some() {
            return Err(Fault::ManyValues);
        }
        self.value = Some(value);
        Ok(())
    }

    /// Versions other than 10 may mean something else (RFC 8428 §4.4).
    pub(super) fn check_version(version: Number) -> Result<(), Fault> {
        if version == Number::Integer(10) {
            Ok(())
        } else {
            Err(Fault::BadVersion)
        }
    }
}

/// A pack while it is decoded: base values hold from the record that has them on.
pub(super) struct Pack<'c, 'v> {
    path: &'c Path,
    models: &'c dyn Models,
    visit: &'c mut Visitor<'v>,
    base_name: Name,
    base_time: Option<f64>,
    base_value: Option<Number>,
}

impl<'c, 'v> Pack<'c, 'v> {
    pub(super) fn new(path: &'c Path, models: &'c dyn Models, visit: &'c mut Visitor<'v>) -> Self {
        Self {
            path,
            models,
            visit,
            base_name: Name::default(),
            base_time: None,
            base_value: None,
        }
    }

    /// Resolves one record and gives it to the visitor.
    pub(super) fn record(
        &mut self,
        fields: &Fields,
        payload: &[u8],
        scratch: &[u8],
    ) -> Result<(), FormatError> {
        if let Some(base_name) = fields.base_name {
            self.base_name = base_name;
        }
        self.base_time = fields.base_time.or(self.base_time);
        self.base_value = fields.base_value.or(self.base_value);
        let path = Path::from_senml(self.base_name.as_bytes(), fields.name.as_bytes())?;
        if !path.starts_with(self.path) {
            return Err(FormatError::OutsideBase(path));
        }
        let time = match (self.base_time, fields.time) {
            (None, None) => None,
            (base, time) => Some(base.unwrap_or(0.0) + time.unwrap_or(0.0)),
        };
        let value = match fields.value.ok_or(FormatError::MissingValue)? {
            Raw::Number(number) => match self.base_value {
                Some(base) => base.plus(number).value()?,
                None => number.value()?,
            },
            Raw::Boolean(value) => Value::Boolean(value),
            Raw::Text(span) => Value::String(str(span.of(payload, scratch))?),
            Raw::Data(span) => Value::Opaque(span.of(payload, scratch)),
            Raw::Link(link) => Value::Objlnk(link),
        };
        emit(self.models, path, time, value, self.visit)
    }
}

/// The base name of an answer and, for one of its records, the name: what the path has more than
/// the base. Both concatenated are the path.
pub(super) fn base_name(base: &Path, path: &Path) -> crate::PathText {
    if path == base {
        base.text()
    } else {
        base.base_name()
    }
}

/// See [`base_name`].
pub(super) fn name<'t>(base: &Path, path: &'t crate::PathText) -> &'t [u8] {
    let whole = path.as_bytes();
    let prefix = if whole.len() == base.text().as_bytes().len() {
        whole.len()
    } else {
        base.base_name().as_bytes().len()
    };
    whole.get(prefix..).unwrap_or_default()
}
