//! Object definitions: what the DDF files say, as tables.

use core::fmt;

use crate::{Value, ValueType};

/// Version of an object or of the enabler, `major.minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the dot.
    pub major: u8,
    /// Behind the dot.
    pub minor: u8,
}

impl Version {
    /// Version 1.0, which an object has that names none (LwM2M TS 1.1 §7.2.2).
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    /// Version 1.1.
    pub const V1_1: Self = Self { major: 1, minor: 1 };

    /// Parses `major.minor`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        fn part(text: &str) -> Option<u8> {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        }
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: part(major)?,
            minor: part(minor)?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a server may do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operations {
    /// Nothing: the resource is for the bootstrap server only.
    None,
    /// Read, observe.
    R,
    /// Write.
    W,
    /// Read, observe and write.
    RW,
    /// Execute.
    E,
}

impl Operations {
    /// May it be read?
    #[must_use]
    pub const fn readable(self) -> bool {
        matches!(self, Self::R | Self::RW)
    }

    /// May it be written?
    #[must_use]
    pub const fn writable(self) -> bool {
        matches!(self, Self::W | Self::RW)
    }

    /// May it be executed?
    #[must_use]
    pub const fn executable(self) -> bool {
        matches!(self, Self::E)
    }
}

/// Which values a resource takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// All of its type.
    Any,
    /// Integers, both ends included; time too.
    Integer(i64, i64),
    /// Floats, both ends included.
    Float(f64, f64),
    /// Bytes of an opaque or of a text, both ends included.
    Length(u32, u32),
}

/// A value does not fit the definition of its resource.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RangeError {
    /// The value has another type.
    WrongType {
        /// What the definition says.
        expected: ValueType,
        /// What the value is.
        found: ValueType,
    },
    /// A number is outside of the range.
    OutOfRange(Range),
    /// A text or an opaque is too short or too long.
    WrongLength {
        /// Bytes of the value.
        found: usize,
        /// Fewest bytes.
        min: u32,
        /// Most bytes.
        max: u32,
    },
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { expected, found } => {
                write!(f, "the resource is a {expected:?}, the value a {found:?}")
            }
            Self::OutOfRange(Range::Integer(min, max)) => {
                write!(f, "the value is not in {min}..{max}")
            }
            Self::OutOfRange(Range::Float(min, max)) => {
                write!(f, "the value is not in {min}..{max}")
            }
            Self::OutOfRange(_) => f.write_str("the value is out of range"),
            Self::WrongLength { found, min, max } => {
                write!(f, "{found} bytes, the resource takes {min} to {max}")
            }
        }
    }
}

impl core::error::Error for RangeError {}

/// The definition of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResourceModel {
    pub(crate) id: u16,
    pub(crate) operations: Operations,
    pub(crate) multiple: bool,
    pub(crate) mandatory: bool,
    pub(crate) value_type: ValueType,
    pub(crate) range: &'static Range,
    #[cfg(feature = "alloc")]
    pub(crate) name: &'static str,
    #[cfg(feature = "alloc")]
    pub(crate) unit: &'static str,
}

impl ResourceModel {
    /// Resource id.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Name in the registry; a device does without.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub const fn name(&self) -> &str {
        self.name
    }

    /// What a server may do with it.
    #[must_use]
    pub const fn operations(&self) -> Operations {
        self.operations
    }

    /// May it have several instances?
    #[must_use]
    pub const fn multiple(&self) -> bool {
        self.multiple
    }

    /// Must each object instance have it?
    #[must_use]
    pub const fn mandatory(&self) -> bool {
        self.mandatory
    }

    /// Type of its value; [`ValueType::None`] for executables.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// Which values it takes.
    #[must_use]
    pub const fn range(&self) -> Range {
        *self.range
    }

    /// Unit, mostly as SenML writes it (RFC 8428 §12.1, RFC 8798); empty where there is none.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub const fn unit(&self) -> &str {
        self.unit
    }

    /// Does the value have the type and lie in the range of the resource?
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self, value: &Value<'_>) -> Result<(), RangeError> {
        let mismatch = RangeError::WrongType {
            expected: self.value_type,
            found: value.value_type(),
        };
        if value.value_type() != self.value_type {
            return Err(mismatch);
        }
        match *self.range {
            Range::Any => Ok(()),
            Range::Integer(min, max) => {
                let inside = match *value {
                    Value::Integer(value) | Value::Time(value) => (min..=max).contains(&value),
                    Value::UnsignedInteger(value) => {
                        i64::try_from(value).is_ok_and(|value| (min..=max).contains(&value))
                    }
                    _ => return Err(mismatch),
                };
                if inside {
                    Ok(())
                } else {
                    Err(RangeError::OutOfRange(*self.range))
                }
            }
            Range::Float(min, max) => match *value {
                Value::Float(value) if (min..=max).contains(&value) => Ok(()),
                _ => Err(RangeError::OutOfRange(*self.range)),
            },
            Range::Length(min, max) => {
                let found = match *value {
                    Value::String(text) | Value::Corelnk(text) => text.len(),
                    Value::Opaque(bytes) => bytes.len(),
                    _ => return Err(mismatch),
                };
                if (min as usize..=max as usize).contains(&found) {
                    Ok(())
                } else {
                    Err(RangeError::WrongLength { found, min, max })
                }
            }
        }
    }
}

/// The definition of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObjectModel {
    pub(crate) id: u16,
    pub(crate) version: Version,
    pub(crate) multiple: bool,
    pub(crate) mandatory: bool,
    pub(crate) resources: &'static [ResourceModel],
    #[cfg(feature = "alloc")]
    pub(crate) name: &'static str,
}

impl ObjectModel {
    /// Object id.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Name in the registry; a device does without.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub const fn name(&self) -> &str {
        self.name
    }

    /// Version of the definition.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// May it have several instances?
    #[must_use]
    pub const fn multiple(&self) -> bool {
        self.multiple
    }

    /// Must each client have it?
    #[must_use]
    pub const fn mandatory(&self) -> bool {
        self.mandatory
    }

    /// The resources by ascending id.
    #[must_use]
    pub const fn resources(&self) -> &[ResourceModel] {
        self.resources
    }

    /// The resource with an id.
    #[must_use]
    pub fn resource(&self, id: u16) -> Option<&ResourceModel> {
        let at = self
            .resources
            .binary_search_by_key(&id, |resource| resource.id)
            .ok()?;
        self.resources.get(at)
    }
}

/// Where definitions come from.
///
/// The tables of this crate are one source ([`Builtin`]); a server that loads DDF files, or knows
/// which version each device registered, is another.
pub trait Models {
    /// The definition of an object in a version, or in the one that is used when none is named.
    fn object(&self, id: u16, version: Option<Version>) -> Option<&ObjectModel>;

    /// The definition of a resource in the version that is used when none is named.
    fn resource(&self, object: u16, resource: u16) -> Option<&ResourceModel> {
        self.object(object, None)?.resource(resource)
    }
}

impl<M: Models + ?Sized> Models for &M {
    fn object(&self, id: u16, version: Option<Version>) -> Option<&ObjectModel> {
        (**self).object(id, version)
    }
}

/// The definitions built into this crate; one version of each object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

impl Models for Builtin {
    fn object(&self, id: u16, version: Option<Version>) -> Option<&ObjectModel> {
        object(id).filter(|model| version.is_none_or(|version| model.version == version))
    }
}

/// Some of the definitions of [`objects`], so that a device carries what it has and no more.
#[derive(Clone, Copy, Debug)]
pub struct Subset<'a>(pub &'a [&'static ObjectModel]);

impl Models for Subset<'_> {
    fn object(&self, id: u16, version: Option<Version>) -> Option<&ObjectModel> {
        let mut matching = self.0.iter().filter(|model| model.id == id);
        matching
            .find(|model| version.is_none_or(|version| model.version == version))
            .copied()
    }
}

/// No definitions: values are decoded by what the format itself says.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoModels;

impl Models for NoModels {
    fn object(&self, _id: u16, _version: Option<Version>) -> Option<&ObjectModel> {
        None
    }
}

/// The definitions built into this crate by ascending object id.
#[must_use]
pub fn models() -> &'static [&'static ObjectModel] {
    objects::ALL
}

/// The definition of an object that is built into this crate.
#[must_use]
pub fn object(id: u16) -> Option<&'static ObjectModel> {
    let at = objects::ALL
        .binary_search_by_key(&id, |model| model.id)
        .ok()?;
    objects::ALL.get(at).copied()
}

/// The definitions one by one, by the names of [`ids`].
pub mod objects {
    use super::{ObjectModel, Operations, Range, ResourceModel, Version};
    use crate::ValueType;

    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}

/// Ids of objects and, in a module for each object, of their resources.
pub mod ids {
    include!(concat!(env!("OUT_DIR"), "/ids.rs"));
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
