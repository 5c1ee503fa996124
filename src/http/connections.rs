//! The connections of the HTTP server: how many there are, and how long they may be idle.
//!
//! When there are too many, the one that has been waiting for a request the longest is closed, so
//! that half requests without number keep nobody out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::doors::Connection;
use crate::tls::Tls;

/// Most connections at once.
const MAX: usize = 512;
/// How long a connection may take for a request's head, and wait for the next request.
const HEAD: Duration = Duration::from_secs(15);
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 32 << 10;
/// How long requests that are under way may go on when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until `stop` is there.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let table = Table::new(MAX);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection can't be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if let Some(place) = table.enter() {
            let router = router.clone();
            let watcher = graceful.watcher();
            let place = Arc::new(place);
            let _ = stream.set_nodelay(true);
            let acceptor = tls.as_ref().map(Tls::acceptor);
            let tls = acceptor.is_some();
            let from = Connection { peer, tls };
            tokio::spawn(async move {
                let Some(acceptor) = acceptor else {
                    return connection(stream, from, router, place, watcher).await;
                };
                let closed = place.clone();
                let greeted = tokio::select! {
                    () = closed.closed.notified() => return,
                    greeted = timeout(HEAD, acceptor.accept(stream)) => greeted,
                };
                match greeted {
                    Ok(Ok(stream)) => connection(stream, from, router, place, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS"),
                    Err(_) => tracing::debug!(%peer, "no TLS in time"),
                }
            });
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    from: Connection,
    router: Router,
    place: Arc<Place>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let own = place.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(from);
        let work = place.clone().work();
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let answer = answer.await;
            drop(work);
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = own.closed.notified() => {}
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended");
            }
        }
    }
}

/// All connections.
#[derive(Clone)]
struct Table {
    max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Those that wait for a request, the longest first.
    idle: BTreeMap<u64, Arc<Notify>>,
    /// All, idle or not.
    open: usize,
    next: u64,
}

impl Table {
    fn new(max: usize) -> Self {
        let state = Arc::default();
        Table { max, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; `None` if all are taken by requests under way.
    fn enter(&self) -> Option<Place> {
        let mut state = self.lock();
        if state.open >= self.max {
            let (_, longest) = state.idle.pop_first()?;
            longest.notify_one();
            state.open -= 1;
        }
        state.open += 1;
        let closed = Arc::new(Notify::new());
        let key = state.wait(closed.clone());
        Some(Place {
            table: self.clone(),
            key: Mutex::new(Some(key)),
            closed,
        })
    }
}

impl State {
    fn wait(&mut self, closed: Arc<Notify>) -> u64 {
        let key = self.next;
        self.next += 1;
        self.idle.insert(key, closed);
        key
    }
}

/// That of one connection.
struct Place {
    table: Table,
    /// Under which it waits for a request; `None`: a request is under way.
    key: Mutex<Option<u64>>,
    closed: Arc<Notify>,
}

impl Place {
    fn key(&self) -> MutexGuard<'_, Option<u64>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is under way until what is returned is dropped.
    fn work(self: Arc<Self>) -> Work {
        let mut key = self.key();
        if let Some(waited) = key.take() {
            let mut state = self.table.lock();
            if state.idle.remove(&waited).is_none() {
                // It was closed just now.
                *key = Some(waited);
            }
        }
        drop(key);
        Work(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        match *self.key.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Some(key) if state.idle.remove(&key).is_none() => {}
            _ => state.open -= 1,
        }
    }
}

/// A request that is under way.
struct Work(Arc<Place>);

impl Drop for Work {
    fn drop(&mut self) {
        let mut key = self.0.key();
        if key.is_none() {
            *key = Some(self.0.table.lock().wait(self.0.closed.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(table: &Table) -> usize {
        table.lock().open
    }

    async fn is_closed(place: &Place) -> bool {
        let wait = Duration::from_millis(1);
        tokio::time::timeout(wait, place.closed.notified())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room() {
        let table = Table::new(2);
        let (first, second) = (Arc::new(table.enter().unwrap()), table.enter().unwrap());
        // The first asks something, so the second is idle for longer.
        drop(first.clone().work());
        let third = table.enter().unwrap();
        assert!(is_closed(&second).await);
        assert!(!is_closed(&first).await && !is_closed(&third).await);
        assert_eq!(open(&table), 2);
        drop(second);
        assert_eq!(open(&table), 2);
        drop((first, third));
        assert_eq!(open(&table), 0);
    }

    #[tokio::test]
    async fn requests_under_way_are_spared() {
        let table = Table::new(1);
        let busy = Arc::new(table.enter().unwrap());
        let work = busy.clone().work();
        assert!(table.enter().is_none());
        assert!(!is_closed(&busy).await);
        drop(work);
        assert!(table.enter().is_some());
        assert!(is_closed(&busy).await);
        drop(busy);
        assert_eq!(open(&table), 0);
    }
}
