//! Builds modules and packages, each module once for equal models, capabilities and options.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tinsmith_package::{Head, Kind as PackageKind};
use tokio::sync::{OnceCell, Semaphore};

use super::compile::{self, Built, Prepared};
use super::{Model, Zoo, ZooError};
use crate::digest::Digest;
use crate::server::{BuildDone, Builder as StartBuild};
use crate::store::{self, Batch, Files, Key, Kind, Store};
use crate::update::{Artefact, BuildRequest, Failure, Job, JobResult, PackageJob, Reconciler};

/// Version of [`Record`] as stored.
const SCHEMA: u16 = 1;

/// A build as stored; the module and the report are files.
#[derive(Serialize, Deserialize)]
struct Record {
    artefact: Artefact,
    report: Digest,
}

type Slot = Arc<OnceCell<Result<Artefact, Failure>>>;

/// Builds what devices need.
pub struct Builder {
    exe: PathBuf,
    zoo: Arc<Zoo>,
    store: Arc<dyn Store>,
    files: Files,
    /// Compiling takes a core and up to a gigabyte.
    permits: Semaphore,
    /// Builds under way: who needs the same one waits for it.
    running: Mutex<HashMap<Digest, Slot>>,
}

impl Builder {
    /// A builder that compiles in children of the program `exe`.
    pub fn new(exe: PathBuf, zoo: Arc<Zoo>, store: Arc<dyn Store>, files: Files) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            exe,
            zoo,
            store,
            files,
            permits: Semaphore::new(cores.min(4)),
            running: Mutex::new(HashMap::new()),
        })
    }

    /// For the shell of the server.
    pub fn start(self: &Arc<Self>) -> StartBuild<Reconciler> {
        let builder = self.clone();
        Arc::new(move |request: BuildRequest, done: BuildDone<Reconciler>| {
            let builder = builder.clone();
            tokio::spawn(async move {
                let result = match request.job {
                    Job::Build {
                        model,
                        source,
                        capability,
                    } => JobResult::Built(builder.build(&model, source, &capability).await),
                    Job::Package(job) => JobResult::Packaged(builder.package(job).await),
                };
                done((request.id, result));
            });
        })
    }

    /// The module of a model for a device: from the cache, or compiled now.
    pub async fn build(
        &self,
        model: &str,
        source: Digest,
        capability: &lwm2m_objects::capability::Capability,
    ) -> Result<Artefact, Failure> {
        let fault = |error: &dyn std::fmt::Display| Failure::Build {
            reason: error.to_string(),
        };
        let model = self.zoo.by_source(model, &source).map_err(|e| fault(&e))?;
        let prepared = compile::prepare(&model, capability)?;
        let key = prepared.key();
        if let Some(record) = self.cached(&key).await {
            return Ok(Artefact {
                cached: true,
                ..record.artefact
            });
        }
        let slot = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.entry(key).or_default().clone()
        };
        let mut first = false;
        let built = slot.get_or_init(|| async {
            first = true;
            self.compile(key, prepared).await
        });
        let built = built.await.clone();
        if first {
            self.running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&key);
        }
        built.map(|artefact| Artefact {
            cached: !first,
            ..artefact
        })
    }

    /// Whether a model can be compiled at all; asked before it is added to the zoo.
    pub async fn check(&self, model: Model) -> Result<Model, ZooError> {
        let closed = |error: &dyn std::fmt::Display| ZooError::File(error.to_string());
        let _permit = self.permits.acquire().await.map_err(|e| closed(&e))?;
        let exe = self.exe.clone();
        let check = move || compile::check(&model, &exe).map(|()| model);
        tokio::task::spawn_blocking(check)
            .await
            .map_err(|e| closed(&e))?
    }

    async fn cached(&self, key: &Digest) -> Option<Record> {
        let stored = self.store.get(&Key::new(Kind::BUILD, key.0)).await.ok()??;
        let record: Record = store::decode(SCHEMA, &stored.bytes).ok()?;
        // A file that is gone or damaged is built again.
        self.files
            .verify(&record.artefact.module)
            .ok()?
            .then_some(record)
    }

    async fn compile(&self, key: Digest, prepared: Prepared) -> Result<Artefact, Failure> {
        let fault = |error: &dyn std::fmt::Display| Failure::Build {
            reason: error.to_string(),
        };
        let permit = self.permits.acquire().await.map_err(|e| fault(&e))?;
        let exe = self.exe.clone();
        let built = tokio::task::spawn_blocking(move || prepared.run(&exe));
        let Built {
            module,
            report,
            artefact,
        } = built.await.map_err(|e| fault(&e))??;
        drop(permit);
        self.files.put(&module).map_err(|e| fault(&e))?;
        let report = self.files.put(&report).map_err(|e| fault(&e))?;
        let record = Record {
            artefact: artefact.clone(),
            report,
        };
        let bytes = store::encode(SCHEMA, &record).map_err(|e| fault(&e))?;
        let batch = Batch::put(Key::new(Kind::BUILD, key.0), bytes);
        crate::server::commit(&*self.store, batch)
            .await
            .map_err(|e| fault(&e))?;
        Ok(artefact)
    }

    /// The package of a module: the same bytes for the same job.
    pub async fn package(&self, job: PackageJob) -> Result<Arc<[u8]>, String> {
        let module = self.files.get(&job.artefact.module).map_err(|e| {
            format!(
                "the module {} can't be read: {e}",
                job.artefact.module.short()
            )
        })?;
        let head = Head {
            kind: PackageKind::Module,
            sequence: job.sequence,
            slot: None,
            vendor_id: tinsmith_package::VENDOR_ID,
            class_id: tinsmith_package::module_class_id(&job.capability_digest),
            digest: job.artefact.module.0,
            size: module.len() as u32,
            abi: job.abi,
            arena_bytes: job.artefact.arena_bytes,
            trial_s: job.trial_s,
            model_name: &job.model,
            model_version: &job.version,
            source_digest: job.source.0,
            compiler: &job.artefact.compiler,
        };
        let package = tinsmith_package::encode(&head, &module).map_err(|e| e.to_string())?;
        Ok(package.into())
    }
}
