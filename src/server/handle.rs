//! How the rest of the process talks to a running server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::brain::{Brain, SHELL_REQUESTS};
use super::shard::ToShard;
use super::{Addresses, Clock};
use crate::lwm2m::{
    DeviceRequest, Endpoint, Event, Now, Operation, Outcome, Registration, RequestId, bucket,
};
use crate::store::Store;

/// Something happened; cheap to clone.
#[derive(Debug)]
pub enum Told<R> {
    /// The LwM2M core's.
    Device(Arc<Event>),
    /// The brain's.
    Report(Arc<R>),
}

impl<R> Clone for Told<R> {
    fn clone(&self) -> Self {
        match self {
            Told::Device(event) => Told::Device(Arc::clone(event)),
            Told::Report(report) => Told::Report(Arc::clone(report)),
        }
    }
}

/// The server is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is shutting down")]
pub struct Gone;

pub(super) struct Inner<B: Brain> {
    pub(super) shards: Vec<mpsc::Sender<ToShard<B>>>,
    pub(super) told: broadcast::Sender<Told<B::Report>>,
    pub(super) next_request: AtomicU64,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) addresses: Addresses,
    pub(super) stop: watch::Sender<bool>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// A running server; cheap to clone.
pub struct ServerHandle<B: Brain> {
    pub(super) inner: Arc<Inner<B>>,
}

impl<B: Brain> Clone for ServerHandle<B> {
    fn clone(&self) -> Self {
        ServerHandle {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<B: Brain> ServerHandle<B> {
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

    /// Asks the brain something about a device. `Err` also if the brain could not store it.
    pub async fn command(&self, endpoint: &str, command: B::Command) -> Result<B::Reply, Gone> {
        let (tx, rx) = oneshot::channel();
        self.send(
            endpoint,
            ToShard::Command(Endpoint::from(endpoint), command, tx),
        )
        .await?;
        rx.await.map_err(|_| Gone)
    }

    /// Asks the brain of every shard; for lists. The endpoint the brains see is empty.
    pub async fn command_all(
        &self,
        mut command: impl FnMut() -> B::Command,
    ) -> Result<Vec<B::Reply>, Gone> {
        let mut waiting = Vec::with_capacity(self.inner.shards.len());
        for shard in &self.inner.shards {
            let (tx, rx) = oneshot::channel();
            let message = ToShard::Command(Endpoint::from(""), command(), tx);
            shard.send(message).await.map_err(|_| Gone)?;
            waiting.push(rx);
        }
        let mut replies = Vec::with_capacity(waiting.len());
        for rx in waiting {
            replies.push(rx.await.map_err(|_| Gone)?);
        }
        Ok(replies)
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
    pub fn subscribe(&self) -> broadcast::Receiver<Told<B::Report>> {
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

    async fn send(&self, endpoint: &str, message: ToShard<B>) -> Result<(), Gone> {
        let shard = usize::from(bucket(endpoint)) % self.inner.shards.len();
        self.inner.shards[shard]
            .send(message)
            .await
            .map_err(|_| Gone)
    }
}
