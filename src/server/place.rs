//! Where shards run: on threads of their own, or on the runtime that starts them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::shard::ShardTask;
use tinsmith_transport::{Bound, DtlsListener, Listener};

/// Held by each shard that runs.
pub(super) type Running = mpsc::Sender<Infallible>;

/// Where shards run, and where they listen, in the order of the listeners' ids.
pub(super) enum Place {
    /// Tasks of the running runtime, which share listeners.
    Here(Arc<[Listener]>),
    /// A thread for each shard: it receives, handles and sends without waking another.
    Threads(Arc<[Bound]>),
}

impl Place {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Place::Here(listeners) => listeners.iter().map(Listener::local_addr).collect(),
            Place::Threads(sockets) => sockets.iter().map(Bound::local_addr).collect(),
        }
    }

    /// Those with DTLS.
    pub(super) fn dtls(&self) -> Vec<DtlsListener> {
        let Place::Threads(bound) = self else {
            return Vec::new();
        };
        let dtls = bound.iter().filter_map(|bound| match bound {
            Bound::Dtls(listener) => Some(listener.clone()),
            _ => None,
        });
        dtls.collect()
    }

    /// Runs a shard; returns when it listens.
    pub(super) async fn run(&self, shard: ShardTask, running: Running) -> io::Result<()> {
        let sockets = match self {
            Place::Here(listeners) => {
                let listeners = Arc::clone(listeners);
                tokio::spawn(async move {
                    shard.run(listeners).await;
                    drop(running);
                });
                return Ok(());
            }
            Place::Threads(sockets) => Arc::clone(sockets),
        };
        let (listens, opened) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("shard-{}", shard.index))
            .spawn(move || {
                match open(&sockets) {
                    Ok((runtime, listeners)) => {
                        let _ = listens.send(Ok(()));
                        runtime.block_on(async {
                            let _ = tokio::spawn(shard.run(listeners)).await;
                        });
                    }
                    Err(error) => drop(listens.send(Err(error))),
                }
                drop(running);
            })?;
        opened
            .await
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
    }
}

/// A runtime for the thread, and listeners on it.
fn open(sockets: &[Bound]) -> io::Result<(Runtime, Arc<[Listener]>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let listeners = sockets
        .iter()
        .map(Bound::listen)
        .collect::<io::Result<_>>()?;
    drop(inside);
    Ok((runtime, listeners))
}
