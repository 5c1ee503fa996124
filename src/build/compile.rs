//! One build in a child process, as the reconciler wants its outcome.

use std::path::Path;

use tinsmith_build_job::{CompileError, Request, child};
use tinsmith_digest::Digest;
use tinsmith_order::{Artefact, Unbuilt};

use crate::{Model, ZooError};

/// What a build gave.
pub(crate) struct Built {
    pub(crate) module: Vec<u8>,
    /// JSON.
    pub(crate) report: Vec<u8>,
    pub(crate) artefact: Artefact,
}

pub(crate) fn fault(error: &dyn std::fmt::Display) -> Unbuilt {
    Unbuilt::Failed {
        reason: error.to_string(),
    }
}

/// Compiles in a child of the program `exe`.
pub(crate) fn compile(exe: &Path, request: &Request) -> Result<Built, Unbuilt> {
    let compiled = child::compile(exe, request, &mut |_| {}).map_err(|error| match &error {
        CompileError::DoesNotFit { .. } => Unbuilt::Refused {
            reason: error.to_string(),
        },
        _ => fault(&error),
    })?;
    let size = |bytes: u64| u32::try_from(bytes).map_err(|e| fault(&e));
    Ok(Built {
        report: serde_json::to_vec(&compiled.report).map_err(|e| fault(&e))?,
        artefact: Artefact {
            module: Digest::of(&compiled.module),
            module_bytes: size(compiled.module.len() as u64)?,
            arena_bytes: size(compiled.report.arena_bytes)?,
            compile_ms: compiled.report.compile_ms,
            cached: false,
            compiler: compiled.report.compiler,
        },
        module: compiled.module,
    })
}

/// Compiles a model for a roomy device, so that what is wrong with it is told when it is added.
pub(crate) fn check(model: &Model, exe: &Path) -> Result<(), ZooError> {
    let Some(capability) = tinsmith_targets::find("stm32f767") else {
        return Ok(());
    };
    match child::compile(exe, &model.request(capability)?, &mut |_| {}) {
        Ok(_) | Err(CompileError::DoesNotFit { .. }) => Ok(()),
        Err(error) => Err(ZooError::Model(error.to_string())),
    }
}
