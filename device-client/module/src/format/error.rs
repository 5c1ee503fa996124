//! What can be wrong with an image.

use core::fmt;

use super::Problem;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleError {
    /// The image ends before what its header promises.
    Truncated,
    /// It does not begin as a module does.
    Magic,
    /// A container that this crate does not read.
    ContainerVersion(u16),
    /// An arithmetic that this crate does not have.
    NumericsVersion(u16),
    /// A reserved field is not zero.
    Reserved,
    /// An entry point without code.
    EntryPoint,
    /// An arena segment has an unknown kind, too large an alignment or too many bytes, or there
    /// are too many of them.
    Segment(u8),
    /// A section leaves the image or overlaps the one before.
    SectionBounds(u16),
    /// A section that must be understood and is not.
    UnknownSection(u16),
    /// A section occurs twice.
    DuplicateSection(u16),
    /// A section without which there is no module.
    MissingSection(u16),
    /// The records do not fill the section PLAN.
    PlanLength,
    /// An operator, or a version of one, that must be understood and is not.
    UnknownRecord {
        /// Index of the record.
        layer: u16,
        /// Operator number.
        operator: u16,
        /// Version of the record.
        version: u16,
    },
    /// A record is wrong.
    Record {
        /// Index of the record.
        layer: u16,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The section IO is inconsistent, or has a tensor outside of its segment or of another type
    /// than int8.
    Io,
    /// The section LABELS is inconsistent.
    Labels,
    /// The section GOLDEN is inconsistent.
    Golden,
    /// The section RESET has not as many bytes as the state segments.
    Reset,
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ModuleError::Truncated => f.write_str("the module is truncated"),
            ModuleError::Magic => f.write_str("this is not a module"),
            ModuleError::ContainerVersion(v) => {
                write!(
                    f,
                    "the module's container has version {v}, which is not known here"
                )
            }
            ModuleError::NumericsVersion(v) => {
                write!(
                    f,
                    "the module's arithmetic has version {v}, which is not known here"
                )
            }
            ModuleError::Reserved => f.write_str("a reserved field of the module is not zero"),
            ModuleError::EntryPoint => f.write_str("the module has an entry point but no code"),
            ModuleError::Segment(i) => write!(f, "arena segment {i} of the module is invalid"),
            ModuleError::SectionBounds(kind) => {
                write!(f, "section {kind} leaves the module or overlaps another")
            }
            ModuleError::UnknownSection(kind) => {
                write!(
                    f,
                    "the module needs section {kind}, which is not known here"
                )
            }
            ModuleError::DuplicateSection(kind) => write!(f, "section {kind} occurs twice"),
            ModuleError::MissingSection(kind) => write!(f, "the module has no section {kind}"),
            ModuleError::PlanLength => f.write_str("the records do not fill the section PLAN"),
            ModuleError::UnknownRecord {
                layer,
                operator,
                version,
            } => write!(
                f,
                "record {layer} needs operator {operator} version {version}, \
                 which is not known here"
            ),
            ModuleError::Record { layer, problem } => write!(f, "record {layer} {problem}"),
            ModuleError::Io => f.write_str("the module's tensors are inconsistent"),
            ModuleError::Labels => f.write_str("the module's labels are inconsistent"),
            ModuleError::Golden => f.write_str("the module's golden inputs are inconsistent"),
            ModuleError::Reset => f.write_str("the module's states at reset are inconsistent"),
        }
    }
}

impl core::error::Error for ModuleError {}
