//! HTTP: what operators and consoles talk to.
//!
//! Our own API is below `/api/v1`; docs/http-api.md describes it. JSON in and out; errors are
//! `{"error": {"code", "message"}}` with a status that says who is at fault. The way in is
//! [`Doors`]: each route asks for a role.

pub mod admin;
mod audited;
mod body;
mod connections;
mod doors;
mod error;
mod gate;
mod guard;
mod health;
mod impostors;
mod journal;
mod login;
mod metered;
mod routes;
mod tls;
mod v1;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Extension;
use axum::middleware::{from_fn_with_state, map_response};
use tokio::sync::RwLock;

pub use doors::{Choices, Doors};
pub use error::ApiError;
pub use routes::routes;
pub use tls::{TlsError, TlsFiles};

use doors::{Entrance, enter};
use guard::{Hosts, guard};
use tinsmith_build::{Builder, Zoo};
use tinsmith_server::ServerHandle;
use tinsmith_store::Files;
use tls::Tls;

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// The running server.
    pub server: ServerHandle,
    /// The models.
    pub zoo: Arc<Zoo>,
    /// Who adds or removes a model, or has one used, takes turns.
    pub zoo_turn: Arc<RwLock<()>>,
    /// The way to the compiler.
    pub builder: Arc<Builder>,
    /// What the store holds by digest.
    pub files: Files,
    /// A folder on the disk for uploads while they come.
    pub scratch: PathBuf,
    /// Who may come in.
    pub doors: Arc<Doors>,
}

/// Where HTTP is served.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Names of this server besides `localhost`, its address and those of loopback.
    pub hosts: Vec<String>,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Why HTTP can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Serves until the server is told to stop. Returns the address it listens on at once.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(config: &Config, app: App) -> Result<SocketAddr, ServeError> {
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let address = config.address;
    let bind = |source| ServeError::Bind { address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(bind)?;
    let local = listener.local_addr().map_err(bind)?;
    let server = app.server.clone();
    if let Some(tls) = tls.clone() {
        let server = server.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = server.stopping() => {}
                never = tls.follow() => match never {},
            }
        });
    }
    let hosts = Hosts::new(local, &config.hosts);
    let counters = journal::start(&app.server, &app.doors);
    let cookie = login::Cookie::of(local.port());
    let entrance = Entrance {
        doors: app.doors.clone(),
        server: server.clone(),
        cookie: cookie.name(),
        open: routes::open(&app.doors),
    };
    let router = routes::router(&app.doors, &server)
        .with_state(app)
        .layer(Extension(counters))
        .layer(Extension(cookie))
        .layer(from_fn_with_state(entrance, enter))
        .layer(from_fn_with_state(hosts, guard))
        .layer(map_response(error::as_json));
    tokio::spawn(async move {
        connections::serve(listener, tls, router, server.stopping()).await;
    });
    Ok(local)
}
