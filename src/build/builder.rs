//! Builds modules and packages, each module once for equal models, capabilities and options.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use futures_channel::oneshot;
use futures_executor::block_on;
use lwm2m_objects::capability::Capability;
use tinsmith_build_job::{Facts, Sealed};
use tinsmith_digest::Digest;
use tinsmith_order::{
    AnchorsJob, Artefact, BuildRequest, Job, JobDone, JobResult, Package, PackageJob, Sign, Unbuilt,
};
use tinsmith_store::{Files, Store, StoreError};

use crate::cache::{Build, Cache};
use crate::compile::{self, fault, later};
use crate::compiler::Compiler;
use crate::{Model, Zoo, ZooError};

/// Compiling takes a core and up to a gigabyte: at most so many at once.
const MAX_COMPILERS: usize = 4;

type Packaging = (Box<ToPackage>, Box<dyn FnOnce(JobResult) + Send>);
type BuildDone = Box<dyn FnOnce(Result<Artefact, Unbuilt>) + Send>;

/// What is packaged and signed.
enum ToPackage {
    Module(PackageJob),
    Anchors(AnchorsJob),
}

impl ToPackage {
    fn ended(&self, result: Result<Package, Unbuilt>) -> JobResult {
        match self {
            Self::Module(_) => JobResult::Packaged(result),
            Self::Anchors(_) => JobResult::Anchors(result),
        }
    }
}

/// What the thread that looks things up is asked.
enum Errand {
    Build {
        model: String,
        version: String,
        source: Digest,
        capability: Arc<Capability>,
        done: BuildDone,
    },
    Package(Packaging),
    /// Something about the cache.
    Cache(Box<dyn FnOnce(&Cache) + Send>),
}

/// What the threads that compile are asked.
enum Heavy {
    Compile(Digest, Compiler, Box<Sealed>),
    Check(
        Box<Model>,
        Compiler,
        oneshot::Sender<Result<Model, ZooError>>,
    ),
    Facts(Arc<Model>, Compiler, oneshot::Sender<Result<(), ZooError>>),
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
    /// Of the compiler's file, from the first build on.
    program: OnceLock<Digest>,
    zoo: Arc<Zoo>,
    cache: Cache,
    /// Without it packages are not signed.
    signer: Option<Arc<dyn Sign>>,
    /// Builds under way, and who waits for them.
    running: Mutex<HashMap<Digest, Vec<BuildDone>>>,
}

impl Builder {
    /// A builder that compiles in children of a program; without one, what is not in the cache is
    /// refused. Without `signer` its packages are not signed.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(
        compiler: Option<Compiler>,
        zoo: Arc<Zoo>,
        store: Arc<dyn Store>,
        files: Files,
        signer: Option<Arc<dyn Sign>>,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            compiler: compiler.clone(),
            program: OnceLock::new(),
            zoo,
            cache: Cache::new(store, files),
            signer,
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
        // Signing may have to wait for a command of the operator.
        let (packages, packaging) = channel();
        let packager = shared.clone();
        thread::Builder::new()
            .name("package".to_owned())
            .spawn(move || package_all(&packager, &packaging))?;
        let (errands, asked) = channel();
        let sender = heavy.clone();
        thread::Builder::new()
            .name("build".to_owned())
            .spawn(move || run_errands(&shared, &asked, &sender, &packages))?;
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
                version,
                source,
                capability,
            } => Errand::Build {
                model,
                version,
                source,
                capability,
                done: Box::new(move |result| done(JobResult::Built(result))),
            },
            Job::Package(job) => {
                Errand::Package((Box::new(ToPackage::Module(job)), Box::new(done)))
            }
            Job::Anchors(job) => {
                Errand::Package((Box::new(ToPackage::Anchors(job)), Box::new(done)))
            }
        };
        if let Err(refused) = self.errands.send(errand) {
            let ended = || "the build service has ended".to_owned();
            match refused.0 {
                Errand::Build { done, .. } => done(Err(Unbuilt::Failed { reason: ended() })),
                Errand::Package((what, done)) => done(what.ended(Err(fault(&ended())))),
                Errand::Cache(_) => {}
            }
        }
    }

    /// The module of a model for a device: from the cache, or compiled now.
    ///
    /// # Errors
    /// The model is unknown, can't be compiled or does not fit.
    pub async fn build(
        &self,
        model: &Model,
        capability: Arc<Capability>,
    ) -> Result<Artefact, Unbuilt> {
        let (answer, built) = oneshot::channel();
        let errand = Errand::Build {
            model: model.card.name.clone(),
            version: model.card.version.clone(),
            source: model.source,
            capability,
            done: Box::new(move |result| drop(answer.send(result))),
        };
        let ended = || fault(&"the build service has ended");
        self.errands.send(errand).map_err(|_| ended())?;
        built.await.map_err(|_| ended())?
    }

    /// Has the data files of a model read, if they were not; without a compiler they stay closed.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn read(&self, model: &Arc<Model>) -> Result<(), ZooError> {
        let Some(compiler) = self.compiler.clone().filter(|_| model.facts().is_none()) else {
            return Ok(());
        };
        let (answer, read) = oneshot::channel();
        let ended = || ZooError::File("the build service has ended".to_owned());
        self.heavy
            .send(Heavy::Facts(model.clone(), compiler, answer))
            .map_err(|_| ended())?;
        read.await.map_err(|_| ended())?
    }

    /// At most `limit` of the builds that are kept, those behind `after`, in the order of their
    /// keys.
    ///
    /// # Errors
    /// The store failed.
    pub async fn builds(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<Build>, StoreError> {
        self.cache(move |cache| cache.list(after, limit)).await
    }

    /// Removes a build, or all of them; how many there were. What is needed again is built again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, key: Option<Digest>) -> Result<usize, StoreError> {
        self.cache(move |cache| cache.remove(key.as_ref())).await
    }

    async fn cache<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Cache) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, asked) = oneshot::channel();
        let errand = Errand::Cache(Box::new(move |cache| drop(answer.send(ask(cache)))));
        self.errands.send(errand).map_err(|_| StoreError::Closed)?;
        asked.await.map_err(|_| StoreError::Closed)?
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
fn run_errands(
    shared: &Shared,
    errands: &Receiver<Errand>,
    heavy: &Sender<Heavy>,
    packages: &Sender<Packaging>,
) {
    while let Ok(errand) = errands.recv() {
        match errand {
            Errand::Build {
                model,
                version,
                source,
                capability,
                done,
            } => match shared.look_up((&model, &version, source), &capability) {
                Err(failure) => done(Err(failure)),
                Ok(Found::Cached(artefact)) => done(Ok(artefact)),
                Ok(Found::Needs(key, compiler, model)) => {
                    if !shared.join(key, done) {
                        continue;
                    }
                    let sealed = model.sealed(Some((*capability).clone()), false);
                    let work = Heavy::Compile(key, compiler, Box::new(sealed));
                    if heavy.send(work).is_err() {
                        let failure = fault(&"the build service has ended");
                        shared.finish(&key, &Err(failure));
                    }
                }
            },
            Errand::Package(packaging) => {
                if let Err(refused) = packages.send(packaging) {
                    let failure = fault(&"the build service has ended");
                    let (what, done) = refused.0;
                    done(what.ended(Err(failure)));
                }
            }
            Errand::Cache(ask) => ask(&shared.cache),
        }
    }
}

fn package_all(shared: &Shared, packages: &Receiver<Packaging>) {
    while let Ok((what, done)) = packages.recv() {
        let package = match &*what {
            ToPackage::Module(job) => shared.package(job),
            ToPackage::Anchors(job) => shared.anchors(job),
        };
        done(what.ended(package));
    }
}

fn compile_all(shared: &Shared, work: &Mutex<Receiver<Heavy>>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Err(_) => return,
            Ok(Heavy::Compile(key, compiler, sealed)) => {
                let built = shared.compile(&key, &compiler, &sealed);
                shared.finish(&key, &built);
            }
            Ok(Heavy::Check(model, compiler, answer)) => {
                let checked = compile::check(&model, &compiler).map(|()| *model);
                let _ = answer.send(checked);
            }
            Ok(Heavy::Facts(model, compiler, answer)) => {
                let read = shared.facts(&model, &compiler).map(|_| ());
                let _ = answer.send(read);
            }
        }
    }
}

enum Found {
    Cached(Artefact),
    Needs(Digest, Compiler, Arc<Model>),
}

impl Shared {
    fn look_up(
        &self,
        (model, version, source): (&str, &str, Digest),
        capability: &Capability,
    ) -> Result<Found, Unbuilt> {
        let Some(compiler) = &self.compiler else {
            return Err(fault(
                &"this program was built without the compiler (feature 'compiler')",
            ));
        };
        let model = self.zoo.exact(model, version, &source);
        let model = model.map_err(|e| fault(&e))?;
        let facts = self.facts(&model, compiler).map_err(|e| fault(&e))?;
        // Two programs of one version may still compile differently.
        let program = match self.program.get() {
            Some(digest) => *digest,
            None => {
                let file = std::fs::read(&compiler.exe).map_err(|e| later(&e))?;
                *self.program.get_or_init(|| Digest::of(&file))
            }
        };
        let version = format!("{} {program}", compiler.version);
        let key = model.build_key(&facts, capability, &version);
        Ok(match self.cache.get(&key) {
            Some(artefact) => Found::Cached(artefact),
            None => Found::Needs(key, compiler.clone(), model),
        })
    }

    /// Those of a model that an older version has added are read once, and kept.
    fn facts(&self, model: &Model, compiler: &Compiler) -> Result<Facts, ZooError> {
        if let Some(facts) = model.facts() {
            return Ok(facts.clone());
        }
        let facts = compile::facts(model, compiler)?;
        model.learn(facts.clone());
        let card = &model.card;
        let listed = self.zoo.exact(&card.name, &card.version, &model.source);
        if listed.is_ok()
            && let Err(error) = block_on(self.zoo.keep(model))
        {
            tracing::warn!(%error, "what was read in the data of a model is not kept");
        }
        Ok(facts)
    }

    /// Waits for a build; true if it is the first to.
    fn join(&self, key: Digest, done: BuildDone) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = running.entry(key).or_default();
        waiting.push(done);
        waiting.len() == 1
    }

    /// Tells everybody who waits; for all but the first it came from the cache.
    fn finish(&self, key: &Digest, built: &Result<Artefact, Unbuilt>) {
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

    fn compile(&self, key: &Digest, by: &Compiler, sealed: &Sealed) -> Result<Artefact, Unbuilt> {
        self.cache.put(key, compile::compile(by, sealed)?)
    }

    /// The package that changes trust anchors.
    fn anchors(&self, job: &AnchorsJob) -> Result<Package, Unbuilt> {
        let signer = self.signer.as_ref();
        let signer = signer.ok_or_else(|| fault(&"this server signs nothing"))?;
        job.signed(&**signer).map_err(|e| fault(&e))
    }

    /// The package of a module: the same bytes for the same job and key.
    fn package(&self, job: &PackageJob) -> Result<Package, Unbuilt> {
        // A module that can't be read is built again.
        let module = self
            .cache
            .module(&job.artefact.module)
            .map_err(|e| later(&e))?;
        let package = match &self.signer {
            Some(signer) => job.signed(module, &**signer),
            None => job.package(module),
        };
        package.map_err(|e| fault(&e))
    }
}
