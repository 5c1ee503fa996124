//! The way from a model of the zoo to the compiler; without the compiler, a plain refusal.

use std::path::Path;

use lwm2m_objects::capability::Capability;

use super::Model;
use crate::digest::Digest;
use crate::update::{Artefact, Failure};

/// What a build gave.
pub(super) struct Built {
    pub(super) module: Vec<u8>,
    /// JSON.
    pub(super) report: Vec<u8>,
    pub(super) artefact: Artefact,
}

pub(super) use backend::{Prepared, prepare};

#[cfg(not(feature = "compiler"))]
mod backend {
    use super::*;

    /// Never made.
    pub(in crate::zoo) enum Prepared {}

    impl Prepared {
        pub(in crate::zoo) fn key(&self) -> Digest {
            match *self {}
        }

        pub(in crate::zoo) fn run(self, _: &Path) -> Result<Built, Failure> {
            match self {}
        }
    }

    pub(in crate::zoo) fn prepare(_: &Model, _: &Capability) -> Result<Prepared, Failure> {
        let reason = "this program was built without the compiler (feature 'compiler')".to_owned();
        Err(Failure::Build { reason })
    }
}

#[cfg(feature = "compiler")]
mod backend {
    use super::*;
    use crate::compiler::{self, CompileError, Request};

    /// A request with its build key.
    pub(in crate::zoo) struct Prepared {
        request: Request,
    }

    impl Prepared {
        pub(in crate::zoo) fn key(&self) -> Digest {
            self.request.build_key()
        }

        pub(in crate::zoo) fn run(self, exe: &Path) -> Result<Built, Failure> {
            let fault = |error: &dyn std::fmt::Display| Failure::Build {
                reason: error.to_string(),
            };
            let compiled =
                compiler::child::compile(exe, &self.request, &mut |_| {}).map_err(|error| {
                    match &error {
                        CompileError::DoesNotFit { .. } => Failure::Refused {
                            reason: error.to_string(),
                        },
                        _ => fault(&error),
                    }
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
                    compiler: compiler::COMPILER_VERSION.to_owned(),
                },
                module: compiled.module,
            })
        }
    }

    pub(in crate::zoo) fn prepare(
        model: &Model,
        capability: &Capability,
    ) -> Result<Prepared, Failure> {
        let fault = |error: crate::zoo::ZooError| Failure::Build {
            reason: error.to_string(),
        };
        Ok(Prepared {
            request: request(model, capability.clone()).map_err(fault)?,
        })
    }
}

/// What the compiler is asked for a model of the zoo.
#[cfg(feature = "compiler")]
pub(crate) fn request(
    model: &Model,
    capability: Capability,
) -> Result<crate::compiler::Request, super::ZooError> {
    Ok(crate::compiler::Request {
        name: model.card.name.clone(),
        version: model.card.version.clone(),
        onnx: model.onnx.to_vec(),
        task: model.card.task,
        labels: model.classes(),
        capability,
        options: crate::compiler::Options::new(model.calibration()?),
        test: None,
    })
}

/// Compiles a model for a roomy device, so that what is wrong with it is told when it is added.
#[cfg(feature = "compiler")]
pub(super) fn check(model: &Model, exe: &Path) -> Result<(), super::ZooError> {
    use crate::compiler::{CompileError, child, targets};
    let Some(capability) = targets::find("stm32f767") else {
        return Ok(());
    };
    match child::compile(exe, &request(model, capability)?, &mut |_| {}) {
        Ok(_) | Err(CompileError::DoesNotFit { .. }) => Ok(()),
        Err(error) => Err(super::ZooError::Model(error.to_string())),
    }
}

/// Without the compiler there is nothing to check with.
#[cfg(not(feature = "compiler"))]
pub(super) fn check(_: &Model, _: &Path) -> Result<(), super::ZooError> {
    Ok(())
}
