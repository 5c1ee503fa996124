//! Builds modules and packages, each module once for equal models, capabilities and options.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use futures_channel::oneshot;
use futures_executor::block_on;
use lwm2m_objects::capability::Capability;
use serde::{Deserialize, Serialize};
use tinsmith_build_job::Request;
use tinsmith_digest::Digest;
use tinsmith_package::{Head, Kind as PackageKind};
use tinsmith_store::{self as store, Batch, Files, Key, Kind, Op, RecordError, Store, Stored};
use tinsmith_update::{
    Artefact, BuildRequest, Failure, Job, JobDone, JobResult, Package, PackageJob,
};

use crate::compile::{self, Built, fault};
use crate::{Model, Zoo, ZooError};

/// Version of [`Record`] as stored; schema 1 is read too.
const SCHEMA: u16 = 2;
/// Compiling takes a core and up to a gigabyte: at most so many at once.
const MAX_COMPILERS: usize = 4;

/// A build as stored; the module and the report are files. The names of the fields are keys;
/// their order is that of schema 1.
#[derive(Serialize, Deserialize)]
struct Record {
    artefact: Artefact,
    report: Digest,
}

fn record_key(build: &Digest) -> Key {
    Key::new(Kind::BUILD, build.0)
}

fn read(stored: &Stored) -> Result<Record, RecordError> {
    store::decode(1..=SCHEMA, &stored.bytes)
}

/// The program that compiles when it is started with [`tinsmith_build_job::child::COMMAND`].
#[derive(Clone, Debug)]
pub struct Compiler {
    /// Its file.
    pub exe: PathBuf,
    /// Name and version of the compiler in it; part of every build key.
    pub version: String,
}

type BuildDone = Box<dyn FnOnce(Result<Artefact, Failure>) + Send>;

/// What the thread that looks things up is asked.
enum Errand {
    Build {
        model: String,
        source: Digest,
        capability: Arc<Capability>,
        done: BuildDone,
    },
    Package(Box<PackageJob>, Box<dyn FnOnce(JobResult) + Send>),
}

/// What the threads that compile are asked.
enum Heavy {
    Compile(Digest, PathBuf, Box<Request>),
    Check(
        Box<Model>,
        Compiler,
        oneshot::Sender<Result<Model, ZooError>>,
    ),
}

/// Builds what devices need, on threads of its own. What waits is bounded by who asks: a device has
/// one open job.
pub struct Builder {
    compiler: Option<Compiler>,
    errands: Sender<Errand>,
    heavy: Sender<Heavy>,
}

struct Shared {
    compiler: Option<Compiler>,
    zoo: Arc<Zoo>,
    store: Arc<dyn Store>,
    files: Files,
    /// Modules that are being sent, each once for all devices.
    modules: Mutex<HashMap<Digest, Weak<[u8]>>>,
    /// Builds under way, and who waits for them.
    running: Mutex<HashMap<Digest, Vec<BuildDone>>>,
}

impl Builder {
    /// A builder that compiles in children of a program; without one, what is not in the cache is
    /// refused.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(
        compiler: Option<Compiler>,
        zoo: Arc<Zoo>,
        store: Arc<dyn Store>,
        files: Files,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            compiler: compiler.clone(),
            zoo,
            store,
            files,
            modules: Mutex::new(HashMap::new()),
            running: Mutex::new(HashMap::new()),
        });
        let (heavy, work) = channel();
        let work = Arc::new(Mutex::new(work));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.min(MAX_COMPILERS) {
            let (shared, work) = (shared.clone(), work.clone());
            thread::Builder::new()
                .name("compile".to_owned())
                .spawn(move || compile_all(&shared, &work))?;
        }
        let (errands, asked) = channel();
        let sender = heavy.clone();
        thread::Builder::new()
            .name("build".to_owned())
            .spawn(move || run_errands(&shared, &asked, &sender))?;
        Ok(Arc::new(Self {
            compiler,
            errands,
            heavy,
        }))
    }

    /// Starts a job of the reconciler and returns at once; `done` is called once, from a thread of
    /// the builder.
    pub fn start(&self, request: BuildRequest, done: JobDone) {
        let id = request.id;
        let done = move |result| done(id, result);
        let errand = match request.job {
            Job::Build {
                model,
                source,
                capability,
            } => Errand::Build {
                model,
                source,
                capability,
                done: Box::new(move |result| done(JobResult::Built(result))),
            },
            Job::Package(job) => Errand::Package(Box::new(job), Box::new(done)),
        };
        if let Err(refused) = self.errands.send(errand) {
            let ended = || "the build service has ended".to_owned();
            match refused.0 {
                Errand::Build { done, .. } => done(Err(Failure::Build { reason: ended() })),
                Errand::Package(_, done) => done(JobResult::Packaged(Err(ended()))),
            }
        }
    }

    /// The module of a model for a device: from the cache, or compiled now.
    ///
    /// # Errors
    /// The model is unknown, can't be compiled or does not fit.
    pub async fn build(
        &self,
        model: &str,
        source: Digest,
        capability: Arc<Capability>,
    ) -> Result<Artefact, Failure> {
        let (answer, built) = oneshot::channel();
        let errand = Errand::Build {
            model: model.to_owned(),
            source,
            capability,
            done: Box::new(move |result| drop(answer.send(result))),
        };
        let ended = || fault(&"the build service has ended");
        self.errands.send(errand).map_err(|_| ended())?;
        built.await.map_err(|_| ended())?
    }

    /// Whether a model can be compiled at all; asked before it is added to the zoo.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check(&self, model: Model) -> Result<Model, ZooError> {
        let Some(compiler) = self.compiler.clone() else {
            return Ok(model);
        };
        let (answer, checked) = oneshot::channel();
        let ended = || ZooError::File("the build service has ended".to_owned());
        self.heavy
            .send(Heavy::Check(Box::new(model), compiler, answer))
            .map_err(|_| ended())?;
        checked.await.map_err(|_| ended())?
    }
}

/// Until the builder is dropped: what is known is answered, what must be compiled is passed on.
fn run_errands(shared: &Shared, errands: &Receiver<Errand>, heavy: &Sender<Heavy>) {
    while let Ok(errand) = errands.recv() {
        match errand {
            Errand::Build {
                model,
                source,
                capability,
                done,
            } => match shared.look_up(&model, source, &capability) {
                Err(failure) => done(Err(failure)),
                Ok(Found::Cached(artefact)) => done(Ok(artefact)),
                Ok(Found::Needs(key, exe, model)) => {
                    if !shared.join(key, done) {
                        continue;
                    }
                    let passed_on = shared.request(&model, &capability).and_then(|request| {
                        heavy
                            .send(Heavy::Compile(key, exe, request))
                            .map_err(|_| fault(&"the build service has ended"))
                    });
                    if let Err(failure) = passed_on {
                        shared.finish(&key, &Err(failure));
                    }
                }
            },
            Errand::Package(job, done) => done(JobResult::Packaged(shared.package(&job))),
        }
    }
}

fn compile_all(shared: &Shared, work: &Mutex<Receiver<Heavy>>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Err(_) => return,
            Ok(Heavy::Compile(key, exe, request)) => {
                let built = shared.compile(key, &exe, &request);
                shared.finish(&key, &built);
            }
            Ok(Heavy::Check(model, compiler, answer)) => {
                let checked = compile::check(&model, &compiler.exe).map(|()| *model);
                let _ = answer.send(checked);
            }
        }
    }
}

enum Found {
    Cached(Artefact),
    Needs(Digest, PathBuf, Arc<Model>),
}

impl Shared {
    fn look_up(
        &self,
        model: &str,
        source: Digest,
        capability: &Capability,
    ) -> Result<Found, Failure> {
        let Some(compiler) = &self.compiler else {
            return Err(fault(
                &"this program was built without the compiler (feature 'compiler')",
            ));
        };
        let model = self.zoo.by_source(model, &source).map_err(|e| fault(&e))?;
        let key = model
            .build_key(capability, &compiler.version)
            .map_err(|e| fault(&e))?;
        Ok(match self.cached(&key) {
            Some(record) => Found::Cached(Artefact {
                cached: true,
                ..record.artefact
            }),
            None => Found::Needs(key, compiler.exe.clone(), model),
        })
    }

    fn cached(&self, key: &Digest) -> Option<Record> {
        let stored = block_on(self.store.get(&record_key(key))).ok()??;
        let record = read(&stored).ok()?;
        // A file that is gone or damaged is built again.
        self.files
            .verify(&record.artefact.module)
            .ok()?
            .then_some(record)
    }

    fn request(&self, model: &Model, capability: &Capability) -> Result<Box<Request>, Failure> {
        let request = model.request(capability.clone()).map_err(|e| fault(&e))?;
        Ok(Box::new(request))
    }

    /// Waits for a build; true if it is the first to.
    fn join(&self, key: Digest, done: BuildDone) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = running.entry(key).or_default();
        waiting.push(done);
        waiting.len() == 1
    }

    /// Tells everybody who waits; for all but the first it came from the cache.
    fn finish(&self, key: &Digest, built: &Result<Artefact, Failure>) {
        let waiting = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
        for (place, done) in waiting.into_iter().flatten().enumerate() {
            done(built.clone().map(|artefact| Artefact {
                cached: place > 0,
                ..artefact
            }));
        }
    }

    fn compile(&self, key: Digest, exe: &Path, request: &Request) -> Result<Artefact, Failure> {
        let Built {
            module,
            report,
            artefact,
        } = compile::compile(exe, request)?;
        self.files.put(&module).map_err(|e| fault(&e))?;
        let report = self.files.put(&report).map_err(|e| fault(&e))?;
        let record = Record {
            artefact: artefact.clone(),
            report,
        };
        let bytes = store::encode(SCHEMA, &record).map_err(|e| fault(&e))?;
        let key = record_key(&key);
        let old = block_on(self.store.get(&key)).map_err(|e| fault(&e))?;
        let mut batch = Batch::default();
        if let Some(old) = old.filter(|old| read(old).is_err()) {
            batch.ops.push(Op::set_aside(&key, &old));
        }
        batch.ops.push(Op::Put(key, bytes));
        block_on(self.store.commit(batch)).map_err(|e| fault(&e))?;
        Ok(artefact)
    }

    /// A module's file; in memory once, as long as somebody is sent it.
    fn module(&self, digest: &Digest) -> Result<Arc<[u8]>, String> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let module = self.files.get(digest);
        let module: Arc<[u8]> = module
            .map_err(|e| format!("the module {} can't be read: {e}", digest.short()))?
            .into();
        modules.retain(|_, module| module.strong_count() > 0);
        modules.insert(*digest, Arc::downgrade(&module));
        Ok(module)
    }

    /// The package of a module: the same bytes for the same job.
    fn package(&self, job: &PackageJob) -> Result<Package, String> {
        let module = self.module(&job.artefact.module)?;
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
        let head = tinsmith_package::encode_prefix(&head).map_err(|e| e.to_string())?;
        Ok(Package {
            digest: Digest::of_parts(&[&head, &module]),
            head: head.into(),
            module,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::hex;
    use tinsmith_store::Version;

    /// Of the version before schema 2.
    const OLD: &str = "\
        0001a200a6005820a65f1b5ba7ee5f5424f3f99f8ea4dc20fe3333c2fdbb453121757eb2dd93a1ea0119\
        38b40219120003181b04f4056e74696e736d69746820302e312e300158200e1a3e87bbf4a543fb296ebf\
        bb8f684f01002856b0210eaa0c423a1d2051dfd0";
    const NEW: &str = "\
        0002a2686172746566616374a6666d6f64756c655820a65f1b5ba7ee5f5424f3f99f8ea4dc20fe3333c2\
        fdbb453121757eb2dd93a1ea6c6d6f64756c655f62797465731938b46b6172656e615f62797465731912\
        006a636f6d70696c655f6d73181b66636163686564f468636f6d70696c65726e74696e736d6974682030\
        2e312e30667265706f727458200e1a3e87bbf4a543fb296ebfbb8f684f01002856b0210eaa0c423a1d20\
        51dfd0";

    #[test]
    fn the_bytes_of_both_schemas() {
        let bytes = hex::decode(OLD).unwrap();
        let version = Version(1);
        let record = read(&Stored { version, bytes }).unwrap();
        assert_eq!(record.artefact.module_bytes, 14_516);
        assert_eq!(record.artefact.compiler, "tinsmith 0.1.0");
        let bytes = store::encode(SCHEMA, &record).unwrap();
        assert_eq!(hex::encode(&bytes), NEW);
        assert_eq!(
            read(&Stored { version, bytes }).unwrap().report,
            record.report
        );
    }
}
