//! The shell: owns sockets, clock, randomness and tasks; feeds the cores and carries out what
//! they ask for.
//!
//! [`start`] loads everything the store has, then opens the sockets, then runs each shard on a
//! thread of its own, which receives and sends what is its own. A process killed at any moment loses only what nobody was promised.

mod clock;
mod devices;
mod handle;
mod history;
mod message;
mod peers;
mod place;
mod reach;
mod receive;
mod results;
mod secure;
mod shard;
mod trace;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};

use tokio::sync::{broadcast, mpsc, watch};
use tracing::{info, warn};

pub use devices::{MAX_DEVICES, Page};
pub use handle::ServerHandle;
pub use history::{History, MAX_ENTRIES};
pub use message::{Known, NoAnswer, Told};
pub use results::Later;
pub use tinsmith_transport::DtlsCounters;
pub use tinsmith_transport::dtls::MAX_WORKERS;

use tinsmith_lwm2m::{
    BootstrapConfig, Endpoint, Limits, ModelSource, Role, Shard, ShardConfig, bucket, request_of,
};
use tinsmith_store::{Key, Kind, Store, StoreError, Stored};
use tinsmith_transport::{Bound, BoundUdp, Listener};
use tinsmith_update::{Anchors, Reconciler, StartJob};

use clock::Clock;
use peers::Router;
use place::Place;
use receive::Sorter;
use results::Results;
pub use secure::SecureConfig;
use shard::ShardTask;

/// The first request id that belongs to the shell (HTTP and the like). The reconciler uses lower
/// ones.
pub const SHELL_REQUESTS: u64 = 1 << 63;

/// More would take more than four bits of each message id.
pub const MAX_SHARDS: usize = 16;
/// Messages that wait for a shard.
const INBOX: usize = 1024;
/// Events kept for a subscriber that is slow.
const TOLD: usize = 4096;

/// What `tinsmith serve` is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Management listener; port 0 lets the system choose.
    pub coap: SocketAddr,
    /// Bootstrap listener; `None`: no bootstrap server.
    pub bootstrap_listener: Option<SocketAddr>,
    /// DTLS; `None`: without.
    pub secure: Option<SecureConfig>,
    /// HTTP, for who starts it.
    pub http: SocketAddr,
    /// Folder of the store and the files.
    pub store: PathBuf,
    /// 1 to [`MAX_SHARDS`].
    pub shards: usize,
    /// Threads of each listener with DTLS, 1 to [`MAX_WORKERS`].
    pub dtls_workers: usize,
    /// What devices get at the bootstrap listener. A rule whose `server_uri` is empty means this
    /// server's management listener, by the address at which the device reaches it. Behind a
    /// port forwarding or a NAT of the server's own the URI must be given.
    pub bootstrap: BootstrapConfig,
    /// Object definitions of devices.
    pub models: ModelSource,
    /// Limits of each shard.
    pub limits: Limits,
    /// Requests and questions that may wait for answers in each shard; one more is answered
    /// [`NoAnswer::Busy`].
    pub waiting: usize,
    /// Entries of history that are kept of a device, beside its timeline.
    pub history: usize,
}

impl Default for Config {
    /// The LwM2M ports on all addresses, HTTP on loopback, one shard, a DTLS worker for each
    /// core and at most four, a rule for every device.
    fn default() -> Self {
        Config {
            coap: SocketAddr::from(([0, 0, 0, 0], 5683)),
            bootstrap_listener: Some(SocketAddr::from(([0, 0, 0, 0], 5783))),
            secure: None,
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            store: PathBuf::from("tinsmith-data"),
            shards: 1,
            dtls_workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(4)),
            bootstrap: BootstrapConfig::default(),
            models: ModelSource::default(),
            limits: Limits::default(),
            waiting: 8192,
            history: tinsmith_update::HISTORY,
        }
    }
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Management.
    pub coap: SocketAddr,
    /// Bootstrap, if there is one.
    pub bootstrap: Option<SocketAddr>,
    /// Management with DTLS, if there is that.
    pub coaps: Option<SocketAddr>,
    /// Bootstrap with DTLS, if there is that.
    pub coaps_bootstrap: Option<SocketAddr>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The store could not be read.
    #[error("cannot read the store: {0}")]
    Store(#[from] StoreError),
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// A shard has no thread, or can't listen.
    #[error("cannot run shard {shard}: {source}")]
    Shard {
        /// Which.
        shard: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Starts a server, each shard on a thread of its own. `start_job` is the build service; it is
/// asked on these threads.
pub async fn start(
    config: Config,
    store: Arc<dyn Store>,
    start_job: StartJob,
) -> Result<ServerHandle, StartError> {
    let coap = config.coap;
    let bootstrap = config.bootstrap_listener;
    let kept = match &config.secure {
        Some(secure) => secure.kept(&store).await?,
        None => Vec::new(),
    };
    let workers = config.dtls_workers;
    if workers == 0 || workers > MAX_WORKERS {
        return Err(StartError::Config(format!(
            "DTLS workers must be 1 to {MAX_WORKERS}, not {workers}"
        )));
    }
    let (secure, associations) = (config.secure.clone(), Arc::clone(&store));
    let open = move || {
        let udp = |address| bind(address).map(Bound::Udp);
        // In the order of `ROLES`.
        let mut bound = vec![udp(coap)?, bootstrap.map_or(Ok(Bound::None), udp)?];
        if let Some(secure) = secure {
            bound.extend(secure.listeners(&associations, kept, workers)?);
        }
        Ok(Place::Threads(bound.into()))
    };
    start_with(config, Clock::system(), store, start_job, open).await
}

/// The same as tasks of the running tokio runtime, on listeners of any transport: one for management
/// and, if there is to be one, one for bootstrap. The addresses in `config` do not count.
pub async fn start_on(
    config: Config,
    listeners: (Listener, Option<Listener>),
    store: Arc<dyn Store>,
    start_job: StartJob,
) -> Result<ServerHandle, StartError> {
    let open = || Ok(here(listeners));
    start_with(config, Clock::system(), store, start_job, open).await
}

fn here((management, bootstrap): (Listener, Option<Listener>)) -> Place {
    Place::Here([management].into_iter().chain(bootstrap).collect())
}

/// Of the listeners, by their ids, which records have: plain ones, then those with DTLS.
const ROLES: [Role; 4] = [
    Role::Management,
    Role::Bootstrap,
    Role::Management,
    Role::Bootstrap,
];

async fn start_with(
    config: Config,
    clock: Clock,
    store: Arc<dyn Store>,
    start_job: StartJob,
    open: impl FnOnce() -> Result<Place, StartError>,
) -> Result<ServerHandle, StartError> {
    let shards = config.shards;
    if shards == 0 || shards > MAX_SHARDS {
        return Err(StartError::Config(format!(
            "shards must be 1 to {MAX_SHARDS}, not {shards}"
        )));
    }
    let mut core_records = split(shards, store.load(Kind::REGISTRATION).await?, |key, _| {
        std::str::from_utf8(&key.id).ok().map(Endpoint::from)
    });
    // Names of requests mean nothing else in another process.
    let mut next_request = clock.now().wall << 10;
    let requests = store.load(Kind::REQUEST).await?;
    for (_, id) in requests.iter().filter_map(|(key, _)| request_of(key)) {
        if id.0 >= SHELL_REQUESTS {
            next_request = next_request.max((id.0 & !SHELL_REQUESTS) + 1);
        }
    }
    let requests = split(shards, requests, |key, _| Some(request_of(key)?.0));
    for (all, part) in core_records.iter_mut().zip(requests) {
        all.extend(part);
    }
    let mut device_records = split(shards, store.load(Kind::DEVICE).await?, |key, _| {
        std::str::from_utf8(&key.id).ok().map(Endpoint::from)
    });
    // Capabilities belong to kinds of devices, so every shard needs them.
    let capabilities = store.load(Kind::CAPABILITY).await?;

    let place = open()?;
    let dtls = place.dtls();
    let listening = place.addresses();
    let at = |index: usize| listening.get(index).copied().filter(|at| at.port() != 0);
    let addresses = Addresses {
        coap: listening[0],
        bootstrap: at(1),
        coaps: at(2),
        coaps_bootstrap: at(3),
    };
    let roles = ROLES.into_iter().take(listening.len());
    let access = config.secure.as_ref().map(SecureConfig::access);
    let contexts = config.secure.as_ref().map(SecureConfig::contexts);
    let results = Arc::new(Results::default());
    let (stop, stopping) = watch::channel(false);
    let (stopped_tx, stopped) = watch::channel(false);
    let (told, _) = broadcast::channel(TOLD);
    let router = Arc::new(Router::new(shards, access.clone(), contexts.clone()));
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::channel(INBOX)).unzip();
    if let Some(secure) = &config.secure {
        secure.on_revoke_context(&senders);
    }
    let (running, mut ended) = mpsc::channel(1);
    let now = clock.now();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let seed = random()?;
        let mut core = Shard::new(ShardConfig {
            index: index as u8,
            shards: shards as u8,
            listeners: roles.clone().collect(),
            bootstrap: BootstrapConfig {
                coap_port: Some(addresses.coap.port()),
                ..config.bootstrap.clone()
            },
            models: config.models.clone(),
            limits: config.limits,
            seed,
        });
        if let Some(access) = &access {
            core = core.with_access(Arc::clone(access));
        }
        if let Some(contexts) = &contexts {
            core = core.with_oscore(Arc::clone(contexts));
        }
        let records = std::mem::take(&mut core_records[index]);
        let (found, bad) = core.restore(now, records);
        info!(
            shard = index,
            registrations = found,
            unreadable = bad,
            "restored"
        );
        let mut reconciler = Reconciler::with_history(config.history);
        reconciler.set_anchors(now, Anchors::new(&config.bootstrap.trust_anchors.get()));
        for (key, stored) in capabilities.iter().chain(&device_records[index]) {
            restore(&mut reconciler, key, stored);
        }
        device_records[index] = Vec::new();
        let task = ShardTask {
            index: index as u8,
            sorter: Sorter::new(Arc::clone(&router), senders.clone(), index as u8),
            core,
            reconciler,
            clock: clock.clone(),
            store: Arc::clone(&store),
            management: [None, Some(addresses.coap), None, addresses.coaps],
            start_job: Arc::clone(&start_job),
            results: Arc::clone(&results),
            told: told.clone(),
            inbox,
            waiting: config.waiting,
            back: mpsc::unbounded_channel(),
            stop: stopping.clone(),
        };
        let runs = place.run(task, running.clone()).await;
        runs.map_err(|source| StartError::Shard {
            shard: index,
            source,
        })?;
    }
    drop(running);
    tokio::spawn(async move {
        // Nobody says anything: it ends when all shards have.
        let _ = ended.recv().await;
        let _ = stopped_tx.send(true);
    });
    Ok(ServerHandle {
        inner: Arc::new(handle::Inner {
            shards: senders,
            told,
            next_request: AtomicU64::new(next_request),
            store,
            results,
            clock,
            dtls,
            own: RwLock::new(config.secure.as_ref().and_then(|secure| secure.own.clone())),
            keys: config.secure.map(|secure| secure.keys),
            models: config.models,
            trust_anchors: config.bootstrap.trust_anchors,
            addresses,
            stop,
            stopped,
        }),
    })
}

/// Random bytes of the system, for secrets.
///
/// # Errors
/// The system has none.
pub fn random() -> Result<[u8; 32], StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}

/// Returns on SIGTERM or SIGINT.
pub async fn terminated() -> io::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}

fn bind(address: SocketAddr) -> Result<BoundUdp, StartError> {
    BoundUdp::bind(address).map_err(|source| StartError::Bind { address, source })
}

fn restore(reconciler: &mut Reconciler, key: &Key, stored: &Stored) {
    let endpoint = String::from_utf8_lossy(&key.id);
    let restored = match key.kind {
        Kind::CAPABILITY => reconciler.restore_capability(key, stored),
        _ => reconciler.restore(&endpoint, &stored.bytes),
    };
    if let Err(error) = restored {
        warn!(kind = key.kind.0, %endpoint, %error, "a record can't be read");
    }
}

fn split(
    shards: usize,
    records: Vec<(Key, Stored)>,
    owner: impl Fn(&Key, &Stored) -> Option<Endpoint>,
) -> Vec<Vec<(Key, Stored)>> {
    let mut parts: Vec<Vec<(Key, Stored)>> = (0..shards).map(|_| Vec::new()).collect();
    for (key, stored) in records {
        match owner(&key, &stored) {
            Some(endpoint) => {
                parts[usize::from(bucket(&endpoint)) % shards].push((key, stored));
            }
            None => {
                for part in &mut parts {
                    part.push((key.clone(), stored.clone()));
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_local;
#[cfg(test)]
mod tests_oscore;
#[cfg(test)]
mod tests_secure;
