//! What can be wrong inside a payload, before it is known whose value it is.

use super::FormatError;
use crate::PathError;

/// A [`FormatError`] without a path: small enough for a register, and there are many places where
/// reading may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Truncated,
    Syntax,
    TooDeep,
    NotUtf8,
    BadNumber,
    BadObjectLink,
    NameTooLong,
    DuplicateField,
    ManyValues,
    UnknownField,
    BadVersion,
    Sum,
    ScratchTooSmall,
}

impl From<Fault> for FormatError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated,
            Fault::Syntax => Self::Syntax,
            Fault::TooDeep => Self::TooDeep,
            Fault::NotUtf8 => Self::NotUtf8,
            Fault::BadNumber => Self::BadNumber,
            Fault::BadObjectLink => Self::BadObjectLink,
            Fault::NameTooLong => Self::BadPath(PathError::TooDeep),
            Fault::DuplicateField => Self::DuplicateField,
            Fault::ManyValues => Self::ManyValues,
            Fault::UnknownField => Self::UnknownField,
            Fault::BadVersion => Self::BadVersion,
            Fault::Sum => Self::Sum,
            Fault::ScratchTooSmall => Self::ScratchTooSmall,
        }
    }
}
