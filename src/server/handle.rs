//! How the rest of the process talks to a running server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock::Clock;
use super::message::{NoAnswer, ToShard, Told};
use super::results::{Later, Results};
use super::{Addresses, SHELL_REQUESTS};
use tinsmith_lwm2m::{
    DeviceRequest, Endpoint, ModelSource, Now, Operation, Outcome, RequestId, TrustAnchors, bucket,
};
use tinsmith_security::{Authority, Keys, Own};
use tinsmith_store::Store;
use tinsmith_transport::{DtlsCounters, DtlsListener};
use tinsmith_update::{Anchors, Ask, Reply};

/// How long a question may wait for a place in the inbox of its shard.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Inner {
    pub(super) shards: Vec<mpsc::Sender<ToShard>>,
    pub(super) told: broadcast::Sender<Told>,
    pub(super) next_request: AtomicU64,
    pub(super) store: Arc<dyn Store>,
    pub(super) results: Arc<Results>,
    pub(super) clock: Clock,
    pub(super) dtls: Vec<DtlsListener>,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) own: RwLock<Option<Own>>,
    pub(super) models: ModelSource,
    pub(super) trust_anchors: TrustAnchors,
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
    /// What happened at each listener with DTLS: that for management, then that for bootstrap.
    pub fn dtls(&self) -> impl Iterator<Item = DtlsCounters> {
        self.inner.dtls.iter().map(DtlsListener::counters)
    }

    /// Keys of devices, if it has DTLS.
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.inner.keys.as_ref()
    }

    /// The SubjectPublicKeyInfo of the server's own key, if it has one for DTLS.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        self.own(Own::public_key)?.ok()
    }

    /// Whose certificates of devices it believes.
    pub fn authorities(&self) -> Vec<Authority> {
        self.own(Own::authorities).unwrap_or_default()
    }

    /// Shows other certificates, believes other authorities and not what they have revoked, from now
    /// on. Whoever is believed no more is out.
    pub fn renew(&self, own: Own) {
        for listener in &self.inner.dtls {
            listener.renew(&own);
        }
        let shown = self.inner.own.write();
        *shown.unwrap_or_else(PoisonError::into_inner) = Some(own);
    }

    fn own<T>(&self, ask: impl FnOnce(&Own) -> T) -> Option<T> {
        let own = self
            .inner
            .own
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(ask)
    }

    /// Asks a device and waits for the outcome, at most `timeout_ms`. Dropping the future does
    /// not take the request back.
    pub async fn request(
        &self,
        endpoint: &str,
        operation: Operation,
        timeout_ms: u64,
    ) -> Result<Outcome, NoAnswer> {
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
        rx.await.unwrap_or(Err(NoAnswer::Stopping))
    }

    /// Asks a device something that must happen even if this process ends before: a durable
    /// request. Its outcome is an [`Event::Completed`](tinsmith_lwm2m::Event::Completed) with the id that is returned, in this
    /// process or a later one; [`ServerHandle::subscribe`] before asking.
    pub async fn submit(
        &self,
        endpoint: &str,
        operation: Operation,
        lifetime_ms: u64,
    ) -> Result<RequestId, NoAnswer> {
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

    /// Asks a device something durable, whether it is there or not, and keeps the result for
    /// [`ServerHandle::result`]. It waits for the device for so long.
    ///
    /// # Errors
    /// Too many requests wait.
    pub async fn ask_later(
        &self,
        endpoint: &str,
        operation: Operation,
        lifetime_ms: u64,
    ) -> Result<RequestId, NoAnswer> {
        let id = self.inner.next_request.fetch_add(1, Ordering::Relaxed) | SHELL_REQUESTS;
        let (id, endpoint) = (RequestId(id), Endpoint::from(endpoint));
        let expires = self.now().wall.saturating_add(lifetime_ms);
        if !self.inner.results.expect(id, endpoint.clone(), expires) {
            return Err(NoAnswer::Busy);
        }
        let request = DeviceRequest {
            id,
            endpoint: endpoint.clone(),
            operation,
            expires,
            durable: true,
        };
        self.send(&endpoint, ToShard::Later(request)).await?;
        Ok(id)
    }

    /// What became of a request of [`ServerHandle::ask_later`]; waits for its end, but not longer
    /// than `wait`. `None` if it is not known, or not any more.
    pub async fn result(&self, id: RequestId, wait: Duration) -> Option<Later> {
        let results = &self.inner.results;
        let end = tokio::time::Instant::now() + wait;
        loop {
            let changed = results.changed();
            let later = results.get(self.now().wall, id)?;
            let ended = later.outcome.is_some();
            if ended || tokio::time::timeout_at(end, changed).await.is_err() {
                return Some(later);
            }
        }
    }

    /// Takes a request back, if it has not ended.
    pub async fn withdraw(&self, endpoint: &str, id: RequestId) -> Result<(), NoAnswer> {
        self.send(endpoint, ToShard::Withdraw(id)).await
    }

    /// Has devices trust these public keys, as COSE_Key, the newest first: those that bootstrap, and
    /// those that trust one of them already.
    pub async fn set_trust_anchors(&self, keys: Vec<Vec<u8>>) -> Result<(), NoAnswer> {
        let anchors = Anchors::new(&keys);
        self.inner.trust_anchors.set(keys);
        for shard in 0..self.inner.shards.len() {
            self.send_to(shard, ToShard::Anchors(anchors.clone()))
                .await?;
        }
        Ok(())
    }

    /// How many devices are registered, and how many of them are reachable.
    pub async fn count(&self) -> Result<(usize, usize), NoAnswer> {
        let mut all = (0, 0);
        for shard in 0..self.inner.shards.len() {
            let (tx, rx) = oneshot::channel();
            self.send_to(shard, ToShard::Count(tx)).await?;
            let (registered, reachable) = rx.await.map_err(|_| NoAnswer::Stopping)?;
            all = (all.0 + registered, all.1 + reachable);
        }
        Ok(all)
    }

    /// Asks the reconciler about a device.
    pub async fn ask(&self, endpoint: &str, ask: Ask) -> Result<Reply, NoAnswer> {
        let (tx, rx) = oneshot::channel();
        self.send(endpoint, ToShard::Ask(Endpoint::from(endpoint), ask, tx))
            .await?;
        rx.await.unwrap_or(Err(NoAnswer::Stopping))
    }

    /// Deletes a device: what is wanted and was done, its registration, and what waits for it.
    /// Whether anything was known of it. One that is there registers again, as a new one, when its
    /// next Update is answered with 4.04. What is known of its kind stays.
    pub async fn delete(&self, endpoint: &str) -> Result<bool, NoAnswer> {
        let known = self.device(endpoint).await?.is_some();
        let (tx, rx) = oneshot::channel();
        self.send(endpoint, ToShard::Delete(Endpoint::from(endpoint), tx))
            .await?;
        rx.await.unwrap_or(Err(NoAnswer::Stopping))?;
        Ok(known)
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

    async fn send(&self, endpoint: &str, message: ToShard) -> Result<(), NoAnswer> {
        let shard = usize::from(bucket(endpoint)) % self.inner.shards.len();
        self.send_to(shard, message).await
    }

    pub(super) async fn send_to(&self, shard: usize, message: ToShard) -> Result<(), NoAnswer> {
        self.inner.shards[shard]
            .send_timeout(message, PATIENCE)
            .await
            .map_err(|error| match error {
                SendTimeoutError::Timeout(_) => NoAnswer::Busy,
                SendTimeoutError::Closed(_) => NoAnswer::Stopping,
            })
    }
}
