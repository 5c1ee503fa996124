//! One build in a child process, as the reconciler wants its outcome.

use tinsmith_build_job::{ChildFailure, CompileError, Facts, Sealed, child};
use tinsmith_digest::Digest;
use tinsmith_order::{Artefact, Unbuilt};

use crate::compiler::Compiler;
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

/// The server's own trouble, not the model's.
pub(crate) fn later(error: &dyn std::fmt::Display) -> Unbuilt {
    Unbuilt::Later {
        reason: error.to_string(),
    }
}

/// Compiles in a child of the program.
pub(crate) fn compile(by: &Compiler, sealed: &Sealed) -> Result<Built, Unbuilt> {
    let (_, result) = child::compile_sealed(&by.exe, sealed, by.limit).map_err(|e| unbuilt(&e))?;
    let compiled = result.map_err(|e| unbuilt(&e))?;
    let compiled = compiled.ok_or_else(|| fault(&"nothing was compiled"))?;
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

fn unbuilt(error: &CompileError) -> Unbuilt {
    match error {
        CompileError::DoesNotFit { .. } => Unbuilt::Refused {
            reason: error.to_string(),
        },
        // No process, no pipe, no memory for one: nothing was said of the model.
        CompileError::Child {
            reason: ChildFailure::NotStarted { .. },
            ..
        } => later(error),
        _ => fault(error),
    }
}

/// Reads the data files of a model.
pub(crate) fn facts(model: &Model, by: &Compiler) -> Result<Facts, ZooError> {
    let sealed = model.sealed(None, true);
    let read = child::compile_sealed(&by.exe, &sealed, by.limit);
    let (facts, _) = read.map_err(|error| ZooError::Model(error.to_string()))?;
    Ok(facts)
}

/// Compiles a model for a roomy device, so that what is wrong with it is told when it is added.
pub(crate) fn check(model: &Model, by: &Compiler) -> Result<(), ZooError> {
    let sealed = model.sealed(tinsmith_targets::find("stm32f767"), true);
    let wrong = |error: CompileError| ZooError::Model(error.to_string());
    let (facts, result) = child::compile_sealed(&by.exe, &sealed, by.limit).map_err(wrong)?;
    model.fits_card(&facts)?;
    model.learn(facts);
    match result {
        Ok(_) | Err(CompileError::DoesNotFit { .. }) => Ok(()),
        Err(error) => Err(wrong(error)),
    }
}
