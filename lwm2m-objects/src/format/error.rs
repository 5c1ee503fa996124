//! Why a payload can't be decoded or made.

use core::fmt;

use super::ContentFormat;
use crate::{Path, PathError, ValueType};

/// A rule that a payload, or what was asked to be encoded, breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// No decoder or encoder for this format.
    UnsupportedFormat(ContentFormat),
    /// The payload ends too early.
    Truncated,
    /// Bytes behind the end of the payload's one item.
    TrailingBytes,
    /// Not the syntax of the format.
    Syntax,
    /// Containers are nested deeper than the format has any use for.
    TooDeep,
    /// Text that is not UTF-8.
    NotUtf8,
    /// No number, or one that does not fit 64 bits.
    BadNumber,
    /// Not base64url, or not base64 in plain text.
    BadBase64,
    /// No object link, `object:instance`.
    BadObjectLink,
    /// A name, a link or an id is no path.
    BadPath(PathError),
    /// A value that has no place in a payload for the path of the request.
    OutsideBase(Path),
    /// The path names no resource or resource instance.
    NotAResource(Path),
    /// The value does not have the type, or the length, that the definition says.
    WrongType {
        /// Whose.
        path: Path,
        /// The type of the definition.
        expected: ValueType,
    },
    /// The definition has no value at all: the resource is executed.
    NoValue(Path),
    /// A value twice.
    Duplicate(Path),
    /// A field twice in one record.
    DuplicateField,
    /// A record without a value.
    MissingValue,
    /// More than one value in a record.
    ManyValues,
    /// A field that must be understood and is not (RFC 8428 §4.4).
    UnknownField,
    /// SenML of another version than 10.
    BadVersion,
    /// A sum (field `s`) says nothing about a resource.
    Sum,
    /// One value was needed, and there are more or none.
    NotSingle,
    /// Records are not in the order of their paths, or come twice.
    NotInOrder(Path),
    /// A value, or what is below a path, is longer than the format can tell (16 MiB in TLV).
    TooLong,
    /// The scratch buffer is too short.
    ScratchTooSmall,
    /// The visitor wanted no more.
    Stopped,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedFormat(format) => write!(f, "{format} is not supported"),
            Self::Truncated => f.write_str("the payload ends too early"),
            Self::TrailingBytes => f.write_str("bytes behind the end of the payload's item"),
            Self::Syntax => f.write_str("the payload breaks the syntax of its format"),
            Self::TooDeep => f.write_str("the payload is nested too deeply"),
            Self::NotUtf8 => f.write_str("a text is not UTF-8"),
            Self::BadNumber => f.write_str("not a number of at most 64 bits"),
            Self::BadBase64 => f.write_str("an opaque value is not base64"),
            Self::BadObjectLink => f.write_str("an object link is not object:instance"),
            Self::BadPath(error) => error.fmt(f),
            Self::OutsideBase(path) => write!(f, "{path} is outside of the requested path"),
            Self::NotAResource(path) => write!(f, "{path} names no resource"),
            Self::WrongType { path, expected } => write!(f, "{path} is not a valid {expected:?}"),
            Self::NoValue(path) => write!(f, "{path} is an executable and has no value"),
            Self::Duplicate(path) => write!(f, "{path} comes twice"),
            Self::DuplicateField => f.write_str("a field comes twice in one record"),
            Self::MissingValue => f.write_str("a record has no value"),
            Self::ManyValues => f.write_str("a record has more than one value"),
            Self::UnknownField => f.write_str("a field that must be understood is unknown"),
            Self::BadVersion => f.write_str("the SenML version is not 10"),
            Self::Sum => f.write_str("a SenML sum is no value of a resource"),
            Self::NotSingle => f.write_str("the format carries exactly one value"),
            Self::NotInOrder(path) => write!(f, "{path} is out of order"),
            Self::TooLong => f.write_str("a value is longer than the format can tell"),
            Self::ScratchTooSmall => f.write_str("the scratch buffer is too short"),
            Self::Stopped => f.write_str("stopped by the visitor"),
        }
    }
}

impl core::error::Error for FormatError {}

impl From<PathError> for FormatError {
    fn from(error: PathError) -> Self {
        Self::BadPath(error)
    }
}
