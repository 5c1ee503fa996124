//! What the server knows of devices, one by one or in pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::handle::ServerHandle;
use super::message::{Known, NoAnswer, ToShard};
use tinsmith_lwm2m::{Endpoint, Models, Registration, bucket};
use tinsmith_store::{Key, Kind};

/// The most devices of a page.
pub const MAX_DEVICES: usize = 1000;

/// Some devices, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// At most as many as asked for; perhaps fewer, when some have just gone.
    pub devices: Vec<Known>,
    /// Where the next page begins: ask for what is behind it. `None`: this is the last one.
    pub next: Option<Endpoint>,
}

impl ServerHandle {
    /// A device; `None` if nothing is known of it.
    pub async fn device(&self, endpoint: &str) -> Result<Option<Known>, NoAnswer> {
        let mut known = self.describe(vec![Endpoint::from(endpoint)]).await?;
        Ok(known.pop().filter(Known::is_something))
    }

    /// At most `limit` (capped at [`MAX_DEVICES`]) devices whose names are behind `after`:
    /// those that are registered, and those something is stored of. The index is the store's.
    pub async fn devices(&self, after: Option<&str>, limit: usize) -> Result<Page, NoAnswer> {
        let limit = limit.clamp(1, MAX_DEVICES);
        let mut names = BTreeSet::new();
        for kind in [Kind::REGISTRATION, Kind::DEVICE] {
            let after = after.map(|name| Key::new(kind, name));
            let page = self.store().scan(kind, &[], after.as_ref(), limit).await;
            let page = page.map_err(|_| NoAnswer::NotStored)?;
            let name = |key: &Key| std::str::from_utf8(&key.id).ok().map(Endpoint::from);
            names.extend(page.iter().filter_map(|(key, _)| name(key)));
        }
        // Either kind gave its first names: so the first of all are among them.
        let names: Vec<Endpoint> = names.into_iter().take(limit).collect();
        let next = names.last().filter(|_| names.len() == limit).cloned();
        let mut devices = self.describe(names).await?;
        devices.retain(Known::is_something);
        Ok(Page { devices, next })
    }

    /// A device's registration, if it is registered.
    pub async fn registration(
        &self,
        endpoint: &str,
    ) -> Result<Option<Arc<Registration>>, NoAnswer> {
        Ok(self.device(endpoint).await?.and_then(|d| d.registration))
    }

    /// All registered devices, sorted by endpoint, page by page.
    pub async fn registrations(&self) -> Result<Vec<Arc<Registration>>, NoAnswer> {
        let mut all = Vec::new();
        let mut after: Option<Endpoint> = None;
        loop {
            let page = self.devices(after.as_deref(), MAX_DEVICES).await?;
            all.extend(page.devices.into_iter().filter_map(|d| d.registration));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// The object definitions that hold for a device.
    pub fn models(&self, registration: &Registration) -> Models {
        self.inner.models.models(registration)
    }

    /// Asks each shard for its devices; the answer is in the order of `names`.
    async fn describe(&self, names: Vec<Endpoint>) -> Result<Vec<Known>, NoAnswer> {
        let shards = self.inner.shards.len();
        let mut parts: BTreeMap<usize, Vec<Endpoint>> = BTreeMap::new();
        for name in names {
            let shard = usize::from(bucket(&name)) % shards;
            parts.entry(shard).or_default().push(name);
        }
        let mut waiting = Vec::with_capacity(parts.len());
        for (shard, names) in parts {
            let (tx, rx) = oneshot::channel();
            self.send_to(shard, ToShard::Describe(names, tx)).await?;
            waiting.push(rx);
        }
        let mut known = Vec::new();
        for rx in waiting {
            known.extend(rx.await.map_err(|_| NoAnswer::Stopping)?);
        }
        known.sort_by(|a: &Known, b: &Known| a.endpoint.cmp(&b.endpoint));
        Ok(known)
    }
}
