//! Values of resources.

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::{string::String, vec::Vec};

use crate::Sink;
use crate::decimal::{parse_u16, write_u64};

/// The data type of a resource (LwM2M TS 1.1 §C).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum ValueType {
    /// UTF-8 text.
    String,
    /// Signed, up to 64 bits.
    Integer,
    /// Unsigned, up to 64 bits.
    UnsignedInteger,
    /// 32 or 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970-01-01 UTC.
    Time,
    /// A link to an object instance.
    Objlnk,
    /// Text in CoRE link format.
    Corelnk,
    /// No value: a resource that can only be executed.
    None,
}

/// A link to an object instance; 65535:65535 is the link to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Objlnk {
    /// Object id.
    pub object: u16,
    /// Object instance id.
    pub instance: u16,
}

impl Objlnk {
    /// The link to nothing (LwM2M TS 1.1 §C).
    pub const NULL: Self = Self {
        object: u16::MAX,
        instance: u16::MAX,
    };

    /// Parses `object:instance` in decimal without leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut ids = text.as_bytes().split(|byte| *byte == b':');
        let link = Self {
            object: parse_u16(ids.next()?)?,
            instance: parse_u16(ids.next()?)?,
        };
        ids.next().is_none().then_some(link)
    }

    /// Writes `object:instance`.
    pub fn write(self, sink: &mut dyn Sink) {
        write_u64(self.object.into(), sink);
        sink.write(b":");
        write_u64(self.instance.into(), sink);
    }
}

impl fmt::Display for Objlnk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.object, self.instance)
    }
}

/// A value that borrows its text and bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// UTF-8 text.
    String(&'a str),
    /// Signed.
    Integer(i64),
    /// Unsigned.
    UnsignedInteger(u64),
    /// Floating point.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes.
    Opaque(&'a [u8]),
    /// Seconds since 1970-01-01 UTC.
    Time(i64),
    /// A link to an object instance.
    Objlnk(Objlnk),
    /// Text in CoRE link format.
    Corelnk(&'a str),
}

impl<'a> Value<'a> {
    /// The type of the value.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Integer(_) => ValueType::Integer,
            Self::UnsignedInteger(_) => ValueType::UnsignedInteger,
            Self::Float(_) => ValueType::Float,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Opaque(_) => ValueType::Opaque,
            Self::Time(_) => ValueType::Time,
            Self::Objlnk(_) => ValueType::Objlnk,
            Self::Corelnk(_) => ValueType::Corelnk,
        }
    }

    /// The same value as another type, where nothing is lost: between the integer types, time
    /// and floats with an integral value, and between the two kinds of text.
    #[must_use]
    pub fn coerce(self, to: ValueType) -> Option<Value<'a>> {
        if self.value_type() == to {
            return Some(self);
        }
        match to {
            ValueType::Integer => self.as_i64().map(Value::Integer),
            ValueType::Time => self.as_i64().map(Value::Time),
            ValueType::UnsignedInteger => self.as_u64().map(Value::UnsignedInteger),
            ValueType::Float => self.as_f64().map(Value::Float),
            ValueType::String => self.as_str().map(Value::String),
            ValueType::Corelnk => self.as_str().map(Value::Corelnk),
            ValueType::Boolean | ValueType::Opaque | ValueType::Objlnk | ValueType::None => None,
        }
    }

    /// The value as a signed integer, if it is a number that is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Integer(value) | Self::Time(value) => Some(value),
            Self::UnsignedInteger(value) => i64::try_from(value).ok(),
            Self::Float(value) => match integral(value)? {
                (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
                (false, magnitude) => i64::try_from(magnitude).ok(),
            },
            _ => None,
        }
    }

    /// The value as an unsigned integer, if it is a number that is one.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::UnsignedInteger(value) => Some(value),
            Self::Integer(value) | Self::Time(value) => u64::try_from(value).ok(),
            Self::Float(value) => match integral(value)? {
                (true, 1..) => None,
                (_, magnitude) => Some(magnitude),
            },
            _ => None,
        }
    }

    /// The number as a float; integers above 2^53 are rounded.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Float(value) => Some(value),
            Self::Integer(value) | Self::Time(value) => Some(value as f64),
            Self::UnsignedInteger(value) => Some(value as f64),
            _ => None,
        }
    }

    /// The truth value.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> Option<&'a str> {
        match *self {
            Self::String(text) | Self::Corelnk(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of an opaque value.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Opaque(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The object link.
    #[must_use]
    pub const fn as_objlnk(&self) -> Option<Objlnk> {
        match *self {
            Self::Objlnk(link) => Some(link),
            _ => None,
        }
    }
}

/// Whether it is negative, and the magnitude, of a float that is an integer of at most 64 bits.
fn integral(value: f64) -> Option<(bool, u64)> {
    const FRACTION: u64 = 1 << 52;
    let bits = value.to_bits();
    let fraction = bits & (FRACTION - 1) | FRACTION;
    // Of the last bit of the fraction.
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1075;
    let magnitude = match exponent {
        0..=11 => fraction << exponent,
        -52..0 if fraction.trailing_zeros() >= exponent.unsigned_abs() => fraction >> -exponent,
        _ if value == 0.0 => 0,
        _ => return None,
    };
    Some((value.is_sign_negative(), magnitude))
}

/// A value that owns its text and bytes.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum OwnedValue {
    /// UTF-8 text.
    String(String),
    /// Signed.
    Integer(i64),
    /// Unsigned.
    UnsignedInteger(u64),
    /// Floating point.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes; hexadecimal text in serde's formats.
    #[cfg_attr(feature = "std", serde(with = "crate::hex"))]
    Opaque(Vec<u8>),
    /// Seconds since 1970-01-01 UTC.
    Time(i64),
    /// A link to an object instance.
    Objlnk(Objlnk),
    /// Text in CoRE link format.
    Corelnk(String),
}

#[cfg(feature = "alloc")]
impl OwnedValue {
    /// The value, borrowed.
    #[must_use]
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(text),
            Self::Integer(value) => Value::Integer(*value),
            Self::UnsignedInteger(value) => Value::UnsignedInteger(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Opaque(bytes) => Value::Opaque(bytes),
            Self::Time(value) => Value::Time(*value),
            Self::Objlnk(link) => Value::Objlnk(*link),
            Self::Corelnk(text) => Value::Corelnk(text),
        }
    }

    /// See [`Value::value_type`].
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.as_value().value_type()
    }

    /// See [`Value::as_i64`].
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.as_value().as_i64()
    }

    /// See [`Value::as_u64`].
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_value().as_u64()
    }

    /// See [`Value::as_f64`].
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.as_value().as_f64()
    }

    /// See [`Value::as_bool`].
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        self.as_value().as_bool()
    }

    /// See [`Value::as_str`].
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_value().as_str()
    }

    /// See [`Value::as_bytes`].
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.as_value().as_bytes()
    }

    /// See [`Value::as_objlnk`].
    #[must_use]
    pub fn as_objlnk(&self) -> Option<Objlnk> {
        self.as_value().as_objlnk()
    }
}

#[cfg(feature = "alloc")]
impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::String(text) => Self::String(text.into()),
            Value::Integer(value) => Self::Integer(value),
            Value::UnsignedInteger(value) => Self::UnsignedInteger(value),
            Value::Float(value) => Self::Float(value),
            Value::Boolean(value) => Self::Boolean(value),
            Value::Opaque(bytes) => Self::Opaque(bytes.into()),
            Value::Time(value) => Self::Time(value),
            Value::Objlnk(link) => Self::Objlnk(link),
            Value::Corelnk(text) => Self::Corelnk(text.into()),
        }
    }
}

#[cfg(feature = "alloc")]
impl<'a> From<&'a OwnedValue> for Value<'a> {
    fn from(value: &'a OwnedValue) -> Self {
        value.as_value()
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
