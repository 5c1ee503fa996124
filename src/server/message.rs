//! What handles, receivers and shards say to each other.

use std::sync::Arc;

use tokio::sync::oneshot;

use tinsmith_lwm2m::{
    DeviceRequest, Endpoint, Event, Identity, ListenerId, Outcome, Peer, Presence, Registration,
    RequestId,
};
use tinsmith_transport::Item;
use tinsmith_update::{Anchors, Ask, Change, Reply, Status};

/// Something happened; cheap to clone.
#[derive(Clone, Debug)]
pub enum Told {
    /// The LwM2M core's.
    Device(Arc<Event>),
    /// The reconciler's.
    Report(Arc<Change>),
}

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The server is shutting down: another process may answer.
    #[error("the server is shutting down")]
    Stopping,
    /// Too much is asked at once: ask again a little later.
    #[error("the server is too busy; try again a little later")]
    Busy,
    /// The disk of the store is full, so nothing was decided.
    #[error("the disk of the server is full: nothing was decided; make room and try again")]
    Full,
    /// The store failed, so nothing was decided.
    #[error("the store failed: nothing was decided; see the log of the server")]
    NotStored,
}

/// What the server knows of a device.
#[derive(Clone, Debug)]
pub struct Known {
    /// The device.
    pub endpoint: Endpoint,
    /// Its registration, if it is registered.
    pub registration: Option<Arc<Registration>>,
    /// Whether it is there, if it is registered.
    pub presence: Option<Presence>,
    /// What it has proved, if it is registered.
    pub identity: Option<Identity>,
    /// Of its updates, if it was seen or something is wanted of it.
    pub status: Option<Status>,
    /// What of its registration and requests can't be read.
    pub unreadable: Option<String>,
}

impl Known {
    /// False if there is nothing to tell.
    pub(super) fn is_something(&self) -> bool {
        self.registration.is_some() || self.status.is_some() || self.unreadable.is_some()
    }
}

/// What one receive call gave for one shard.
pub(super) struct Packets {
    pub(super) listener: ListenerId,
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<Item>,
    /// Peers whose associations have ended.
    pub(super) gone: Vec<Peer>,
}

impl Default for Packets {
    fn default() -> Self {
        Packets {
            listener: ListenerId(0),
            data: Vec::new(),
            items: Vec::new(),
            gone: Vec::new(),
        }
    }
}

impl Packets {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.gone.is_empty()
    }
}

/// To who asked, if there is one.
pub(super) type Answer<T> = Result<T, NoAnswer>;

pub(super) enum ToShard {
    Packets(Packets),
    Request(DeviceRequest, oneshot::Sender<Answer<Outcome>>),
    Submit(DeviceRequest),
    /// The same of a device that need not be registered.
    Later(DeviceRequest),
    Withdraw(RequestId),
    /// What this identity came in by was taken away.
    Revoked(Identity),
    /// What devices shall trust.
    Anchors(Anchors),
    /// Devices that are registered, and those of them that are reachable.
    Count(oneshot::Sender<(usize, usize)>),
    Ask(Endpoint, Ask, oneshot::Sender<Answer<Reply>>),
    /// Everything of a device.
    Delete(Endpoint, oneshot::Sender<Answer<Reply>>),
    /// One for each name, in their order.
    Describe(Vec<Endpoint>, oneshot::Sender<Vec<Known>>),
}
