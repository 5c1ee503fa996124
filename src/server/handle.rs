//! How the rest of the process talks to a running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::shard::ToShard;
use super::{Addresses, Clock, SHELL_REQUESTS};
use tinsmith_lwm2m::{
    DeviceRequest, Endpoint, Event, Now, Operation, Outcome, Registration, RequestId, bucket,
};
use tinsmith_store::Store;
use tinsmith_update::{Ask, Change, Reply, Status};

/// Something happened; cheap to clone.
#[derive(Clone, Debug)]
pub enum Told {
    /// The LwM2M core's.
    Device(Arc<Event>),
    /// The reconciler's.
    Report(Arc<Change>),
}

/// The server is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is shutting down")]
pub struct Gone;

pub(super) struct Inner {
    pub(super) shards: Vec<mpsc::Sender<ToShard>>,
    pub(super) told: broadcast::Sender<Told>,
    pub(super) next_request: AtomicU64,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) addresses: Addresses,
    pub(super) stop: watch::Sender<bool>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// A running server; cheap to clone.
#[derive(Clone)]
pub struct ServerHandle {
    pub(super) inner: Arc<Inner>,
}

impl ServerHandle {
    /// Asks a device and waits for the outcome, at most `timeout_ms`. Dropping the future does
    /// not take the request back.
    pub async fn request(
        &self,
        endpoint: &str,
        operation: Operation,
        timeout_ms: u64,
    ) -> Result<Outcome, Gone> {
        let id = self.inner.next_request.fetch_add(1, Ordering::Relaxed) | SHELL_REQUESTS;
        let request = DeviceRequest {
            id: RequestId(id),
            endpoint: Endpoint::from(endpoint),
            operation,
            expires: self.now().wall.saturating_add(timeout_ms),
            durable: false,
        };
        let (tx, rx) = oneshot::channel();
        self.send(endpoint, ToShard::Request(request, tx)).await?;
        rx.await.map_err(|_| Gone)
    }

    /// Asks a device something that must happen even if this process ends before: a durable
    /// request. Its outcome is an [`Event::Completed`] with the id that is returned, in this
    /// process or a later one; [`ServerHandle::subscribe`] before asking.
    pub async fn submit(
        &self,
        endpoint: &str,
        operation: Operation,
        lifetime_ms: u64,
    ) -> Result<RequestId, Gone> {
        let id = self.inner.next_request.fetch_add(1, Ordering::Relaxed) | SHELL_REQUESTS;
        let id = RequestId(id);
        let request = DeviceRequest {
            id,
            endpoint: Endpoint::from(endpoint),
            operation,
            expires: self.now().wall.saturating_add(lifetime_ms),
            durable: true,
        };
        self.send(endpoint, ToShard::Submit(request)).await?;
        Ok(id)
    }

    /// Asks the reconciler about a device. `Err` also if a decision could not be stored.
    pub async fn ask(&self, endpoint: &str, ask: Ask) -> Result<Reply, Gone> {
        let (tx, rx) = oneshot::channel();
        self.send(endpoint, ToShard::Ask(Endpoint::from(endpoint), ask, tx))
            .await?;
        rx.await.map_err(|_| Gone)
    }

    /// How every device stands that was seen or that a model is wanted for.
    pub async fn statuses(&self) -> Result<Vec<(Endpoint, Status)>, Gone> {
        let mut waiting = Vec::with_capacity(self.inner.shards.len());
        for shard in &self.inner.shards {
            let (tx, rx) = oneshot::channel();
            let message = ToShard::Ask(Endpoint::from(""), Ask::All, tx);
            shard.send(message).await.map_err(|_| Gone)?;
            waiting.push(rx);
        }
        let mut statuses = Vec::new();
        for rx in waiting {
            if let Reply::All(all) = rx.await.map_err(|_| Gone)? {
                statuses.extend(all);
            }
        }
        Ok(statuses)
    }

    /// A device, if it is registered.
    pub async fn registration(&self, endpoint: &str) -> Result<Option<Arc<Registration>>, Gone> {
        let (tx, rx) = oneshot::channel();
        self.send(
            endpoint,
            ToShard::Registration(Endpoint::from(endpoint), tx),
        )
        .await?;
        rx.await.map_err(|_| Gone)
    }

    /// All registered devices, sorted by endpoint.
    pub async fn registrations(&self) -> Result<Vec<Arc<Registration>>, Gone> {
        let mut all = Vec::new();
        for shard in &self.inner.shards {
            let (tx, rx) = oneshot::channel();
            shard
                .send(ToShard::Registrations(tx))
                .await
                .map_err(|_| Gone)?;
            all.extend(rx.await.map_err(|_| Gone)?);
        }
        all.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        Ok(all)
    }

    /// Everything that happens from now on. Who falls behind by 4,096 loses the oldest and is
    /// told so by the channel.
    pub fn subscribe(&self) -> broadcast::Receiver<Told> {
        self.inner.told.subscribe()
    }

    /// Where the server listens.
    pub fn addresses(&self) -> Addresses {
        self.inner.addresses
    }

    /// The store, for what is not a shard's.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The server's clocks.
    pub fn now(&self) -> Now {
        self.inner.clock.now()
    }

    /// Ends listeners and shards; returns when they have ended. What was promised is durable
    /// already.
    pub async fn shutdown(&self) {
        let _ = self.inner.stop.send(true);
        let mut stopped = self.inner.stopped.clone();
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Returns when the server was told to stop.
    pub async fn stopping(&self) {
        let mut stop = self.inner.stop.subscribe();
        let _ = stop.wait_for(|stop| *stop).await;
    }

    async fn send(&self, endpoint: &str, message: ToShard) -> Result<(), Gone> {
        let shard = usize::from(bucket(endpoint)) % self.inner.shards.len();
        self.inner.shards[shard]
            .send(message)
            .await
            .map_err(|_| Gone)
    }
}
