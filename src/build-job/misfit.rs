//! Why a module does not fit a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that a device lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lacks", rename_all = "kebab-case")]
pub enum Misfit {
    /// RAM for activations (27300/0/5).
    Arena {
        /// Bytes that the module needs.
        needed: u64,
        /// Bytes that the device has.
        available: u64,
        /// Bytes that are missing.
        missing: u64,
    },
    /// Size of one module (27300/0/10).
    ModuleSize {
        /// Bytes that the module needs.
        needed: u64,
        /// Bytes that the device takes.
        available: u64,
        /// Bytes that are missing.
        missing: u64,
    },
    /// Storage for modules (27300/0/7).
    Storage {
        /// Bytes that the module needs.
        needed: u64,
        /// Bytes that the device has.
        available: u64,
        /// Bytes that are missing.
        missing: u64,
    },
    /// The format of the module (27300/0/4).
    Format {
        /// The format needed.
        needed: i64,
        /// The formats that the device takes.
        accepted: Vec<i64>,
    },
    /// The interface between client and module (27300/0/3).
    Abi {
        /// The version of the module.
        needed: u64,
        /// The version of the client.
        available: u64,
    },
    /// A kernel (27301/0/10).
    Kernel {
        /// Kernel id.
        id: u16,
        /// Version needed.
        version: u16,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena {
                needed,
                available,
                missing,
            } => write!(
                f,
                "{missing} bytes of RAM are missing: the arena needs {needed}, the device has \
                 {available}"
            ),
            Self::ModuleSize {
                needed,
                available,
                missing,
            } => write!(
                f,
                "{missing} bytes of flash are missing: the module has {needed}, the device takes \
                 at most {available}"
            ),
            Self::Storage {
                needed,
                available,
                missing,
            } => write!(
                f,
                "{missing} bytes of storage are missing: the module has {needed}, the device's \
                 model store {available}"
            ),
            Self::Format { needed, accepted } => {
                write!(
                    f,
                    "the device takes module formats {accepted:?}, the module has {needed}"
                )
            }
            Self::Abi { needed, available } => write!(
                f,
                "the module is built for runtime ABI {needed}, the device has {available}: update \
                 its firmware"
            ),
            Self::Kernel { id, version } => {
                write!(
                    f,
                    "the device has no kernel {id} version {version}: update its firmware"
                )
            }
        }
    }
}
