//! HTTP: what operators and consoles talk to.
//!
//! Our own API is [`v1`], under `/api/v1`. JSON in and out; errors are
//! `{"error": {"code", "message"}}` with a status that says who is at fault.

mod error;
pub mod v1;

use std::net::SocketAddr;
use std::sync::Arc;

pub use error::ApiError;

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
    /// The way to the compiler.
    pub builder: Arc<Builder>,
    /// What the store holds by digest.
    pub files: Files,
}

/// Serves until the server is told to stop. Returns the address it listens on at once.
pub async fn serve(address: SocketAddr, app: App) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let server = app.server.clone();
    let router = v1::router().with_state(app);
    tokio::spawn(async move {
        let stop = async move { server.stopping().await };
        if let Err(error) = axum::serve(listener, router)
            .with_graceful_shutdown(stop)
            .await
        {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(local)
}
