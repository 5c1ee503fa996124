//! A server with store, zoo, builder and HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tinsmith_build::{self as build, Builder, Zoo};
use tinsmith_build_job::child;
use tinsmith_http::{self as http, App, Doors, TlsFiles};
use tinsmith_server::{self as server, Config, ServerHandle};
use tinsmith_store::{Files, Health, SledStore, Store, private};
use tinsmith_update::{Sign, StartJob};

use super::signing::{public, watch_keys};
use crate::Compiler;
use crate::key::{self, Sealing};
use crate::store::problem;

use super::secure::{Dtls, secure};

/// How often it is seen whether the store still works.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

/// What is chosen about a start, beside the server's configuration.
pub(crate) struct Choices {
    /// Whether a store that has lost something is opened.
    pub(crate) accept_loss: bool,
    /// DTLS; none: without.
    pub(crate) dtls: Option<Dtls>,
    /// How long a build may take.
    pub(crate) limit: Duration,
    /// Names of the HTTP listener.
    pub(crate) hosts: Vec<String>,
    /// Certificate and key of the HTTP listener.
    pub(crate) tls: Option<TlsFiles>,
    /// Who comes in.
    pub(crate) doors: http::Choices,
    /// What seals the keys that packages are signed with.
    pub(crate) sealing: Sealing,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            accept_loss: false,
            dtls: None,
            limit: child::LIMIT,
            hosts: Vec::new(),
            tls: None,
            doors: http::Choices::default(),
            sealing: Sealing::default(),
        }
    }
}

/// A server with everything around it.
pub(crate) struct Running {
    pub(crate) server: ServerHandle,
    pub(crate) zoo: Arc<Zoo>,
    pub(crate) http: SocketAddr,
    /// Whether that speaks TLS.
    pub(crate) tls: bool,
    pub(crate) doors: Arc<Doors>,
}

/// Starts a server with store, zoo, builder and HTTP.
pub(crate) async fn start(
    mut config: Config,
    choices: Choices,
    compiler: Option<Compiler>,
) -> Result<Running> {
    let folder = config.store.clone();
    let open = || format!("cannot open the store in {}", folder.display());
    let opened = if choices.accept_loss {
        SledStore::open_with_loss(&folder)
    } else {
        SledStore::open(&folder)
    };
    let store: Arc<dyn Store> = Arc::new(opened.map_err(|error| problem(&folder, &error))?);
    let files = Files::open(&folder.join("files")).with_context(open)?;
    let zoo = Arc::new(Zoo::open(store.clone(), files.clone()).await?);
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let compiler = compiler.map(|compiler| build::Compiler {
        exe,
        version: compiler.version.to_owned(),
        limit: choices.limit,
    });
    let keys = Arc::new(key::open(&folder, &choices.sealing)?);
    let known = keys.list()?;
    config.bootstrap.trust_anchors.set(public(&known));
    let signer: Arc<dyn Sign> = keys.clone();
    let builder = Builder::new(
        compiler,
        zoo.clone(),
        store.clone(),
        files.clone(),
        Some(signer),
    )
    .context("cannot start the build service")?;
    let jobs = builder.clone();
    let start_job: StartJob = Arc::new(move |request, done| jobs.start(request, done));
    let address = config.http;
    let scratch = folder.join("incoming");
    private::folder(&scratch).with_context(open)?;
    let doors = Doors::open(&store, &choices.doors).await?;
    if let Some(dtls) = choices.dtls {
        let secure = secure(dtls, &choices.sealing, &folder, &store, choices.accept_loss);
        config.secure = Some(secure.await?);
    }
    let server = server::start(config, store, start_job)
        .await
        .map_err(|error| match &error {
            server::StartError::Bind { .. } => {
                anyhow!(
                    "{error}; choose another address with --coap, --bootstrap, --coaps or \
                     --coaps-bootstrap"
                )
            }
            _ => error.into(),
        })?;
    let now = server.now();
    doors
        .ensure_admin(now.wall, &folder, &server::random()?)
        .await
        .with_context(|| format!("in {}", folder.display()))?;
    let doors = Arc::new(doors);
    tokio::spawn(watch_keys(keys, known, doors.clone(), server.clone()));
    let app = App {
        server: server.clone(),
        zoo: zoo.clone(),
        zoo_turn: Arc::default(),
        builder,
        files,
        scratch,
        doors: doors.clone(),
    };
    let tls = choices.tls.is_some();
    let http = http::serve(
        &http::Config {
            address,
            hosts: choices.hosts,
            tls: choices.tls,
        },
        app,
    )
    .await
    .map_err(|error| match &error {
        http::ServeError::Bind { .. } => anyhow!("{error}; choose another with --http"),
        _ => error.into(),
    })?;
    Ok(Running {
        server,
        zoo,
        http,
        tls,
        doors,
    })
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Waits until the store can't be used in this process any more. Who supervises it starts another.
pub(super) async fn failed(store: &Arc<dyn Store>) -> String {
    loop {
        if let Health::Failed(reason) = store.health() {
            return reason;
        }
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}
