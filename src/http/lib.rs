//! HTTP: what operators and consoles talk to.
//!
//! Our own API is [`v1`], under `/api/v1`. JSON in and out; errors are
//! `{"error": {"code", "message"}}` with a status that says who is at fault.

mod body;
mod connections;
mod error;
mod guard;
mod health;
mod journal;
mod metered;
pub mod v1;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::get;
use tokio::sync::RwLock;

pub use error::ApiError;

use guard::{Hosts, guard};
use tinsmith_build::{Builder, Zoo};
use tinsmith_server::ServerHandle;
use tinsmith_store::Files;

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
}

/// Where HTTP is served.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// Names of this server besides `localhost`, its address and those of loopback.
    pub hosts: Vec<String>,
}

/// Serves until the server is told to stop. Returns the address it listens on at once.
pub async fn serve(config: &Config, app: App) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(config.address).await?;
    let local = listener.local_addr()?;
    let server = app.server.clone();
    let hosts = Hosts::new(local, &config.hosts);
    let counters = journal::start(&app.server);
    let metrics = get(journal::metrics).with_state((counters, app.server.clone()));
    let router = v1::router()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", metrics)
        .with_state(app)
        .layer(from_fn_with_state(hosts, guard))
        .layer(map_response(error::as_json));
    tokio::spawn(async move {
        connections::serve(listener, router, server.stopping()).await;
    });
    Ok(local)
}
