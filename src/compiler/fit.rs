//! Refusal before anything is sent: does the module fit the device?

use lwm2m_objects::capability::Capability;
use tinsmith_build_job::{CompileError, Misfit};
use tinsmith_module::Module;

/// 27300/x/4: compiled plan and weights.
const FORMAT_PLAN: i64 = 2;

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
        if !tinsmith_module::kernels::runs(resident.unwrap_or_default(), (id, version)) {
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
