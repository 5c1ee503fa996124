//! Why an image is refused.

use core::fmt;

use crate::plan::Problem;

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
        }
    }
}

impl core::error::Error for ModuleError {}

/// Why a good module cannot run on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Built for another ABI.
    Abi {
        /// ABI version of the module.
        module: u16,
        /// ABI version of the host.
        host: u16,
    },
    /// A kernel is not resident.
    Kernel {
        /// Kernel id.
        id: u16,
        /// Version the module needs.
        version: u16,
    },
    /// Instruction sets that the host lacks.
    InstructionSets {
        /// Bits of [`crate::format::isa`].
        missing: u32,
    },
    /// The arena is too small.
    Arena {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
    /// The stack is too small.
    Stack {
        /// Bytes needed.
        needed: usize,
        /// Bytes that are missing.
        missing: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Abi { module, host } => {
                write!(
                    f,
                    "the module is built for ABI {module}, the device has ABI {host}"
                )
            }
            Refusal::Kernel { id, version } => {
                write!(f, "the device has no kernel {id} version {version}")
            }
            Refusal::InstructionSets { missing } => {
                write!(f, "the device lacks instruction sets {missing:#x}")
            }
            Refusal::Arena { needed, missing } => {
                write!(
                    f,
                    "the module needs {needed} B of arena, {missing} B too many"
                )
            }
            Refusal::Stack { needed, missing } => {
                write!(
                    f,
                    "the module needs {needed} B of stack, {missing} B too many"
                )
            }
        }
    }
}

impl core::error::Error for Refusal {}
