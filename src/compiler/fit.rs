//! Refusal before anything is sent: does the module fit the device?

use std::fmt;

use lwm2m_objects::capability::Capability;
use serde::{Deserialize, Serialize};
use tinsmith_module::Module;

use super::error::CompileError;

/// 27300/x/4: compiled plan and weights.
const FORMAT_PLAN: i64 = 2;

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

/// Checks a module against a capability.
pub(crate) fn fit(
    model: &str,
    capability: &Capability,
    module: &Module<'_>,
) -> Result<(), CompileError> {
    let missing = misfits(capability, module);
    if missing.is_empty() {
        return Ok(());
    }
    let target = capability.platform.platform_name.clone();
    Err(CompileError::DoesNotFit {
        model: model.into(),
        target,
        missing,
    })
}

fn misfits(capability: &Capability, module: &Module<'_>) -> Vec<Misfit> {
    let platform = &capability.platform;
    let mut missing = Vec::new();
    if !platform.module_formats.contains(&FORMAT_PLAN) {
        let accepted = platform.module_formats.clone();
        missing.push(Misfit::Format {
            needed: FORMAT_PLAN,
            accepted,
        });
    }
    let needed = u64::from(module.abi());
    if platform.runtime_abi_version != needed {
        missing.push(Misfit::Abi {
            needed,
            available: platform.runtime_abi_version,
        });
    }
    let resident = capability
        .units
        .first()
        .and_then(|unit| unit.operators.as_deref());
    for (id, version) in module.kernels() {
        if !resident.unwrap_or_default().contains(&(id, version)) {
            missing.push(Misfit::Kernel { id, version });
        }
    }
    let short = |needed: u64, available: u64| needed.checked_sub(available).filter(|&n| n > 0);
    let (needed, available) = (module.arena_bytes() as u64, platform.arena_total);
    if let Some(missing_bytes) = short(needed, available) {
        missing.push(Misfit::Arena {
            needed,
            available,
            missing: missing_bytes,
        });
    }
    let (needed, available) = (module.image().len() as u64, platform.max_module_size);
    if let Some(missing_bytes) = short(needed, available) {
        missing.push(Misfit::ModuleSize {
            needed,
            available,
            missing: missing_bytes,
        });
    }
    let available = platform.model_storage_total;
    if let Some(missing_bytes) = short(needed, available) {
        missing.push(Misfit::Storage {
            needed,
            available,
            missing: missing_bytes,
        });
    }
    missing
}
