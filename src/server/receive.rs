//! What comes in at a listener: for the shard that receives it, or passed on to the one whose it
//! is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::message::{Packets, ToShard};
use super::peers::Router;
use tinsmith_lwm2m::{ListenerId, refuse_long};
use tinsmith_transport::udp::BATCH;
use tinsmith_transport::{Item, Listener, Outgoing, ReceiveBatch, Received};

/// Bytes of a batch of datagrams as they usually are; more is no fault.
const ROOM: usize = BATCH * 160;

/// How long a listener is left alone that can't receive.
const REST: Duration = Duration::from_millis(100);

/// Receives at one listener for one shard.
pub(super) struct Inlet {
    listeners: Arc<[Listener]>,
    /// Of the listener.
    index: usize,
    batch: ReceiveBatch,
    rest: Option<Instant>,
}

impl Inlet {
    /// One for each listener.
    pub(super) fn all(listeners: &Arc<[Listener]>) -> Vec<Self> {
        let inlet = |index| Inlet {
            listeners: Arc::clone(listeners),
            index,
            batch: ReceiveBatch::new(),
            rest: None,
        };
        (0..listeners.len()).map(inlet).collect()
    }

    pub(super) fn id(&self) -> ListenerId {
        ListenerId(self.index as u8)
    }

    pub(super) fn batch(&self) -> &ReceiveBatch {
        &self.batch
    }

    /// Waits until the batch is full of what came in.
    pub(super) async fn receive(&mut self) {
        loop {
            if let Some(rest) = self.rest {
                tokio::time::sleep_until(rest).await;
                self.rest = None;
            }
            match self.listeners[self.index].receive(&mut self.batch).await {
                Ok(()) => return,
                Err(error) => self.rest(&error),
            }
        }
    }

    /// The same without waiting; false if there is nothing.
    pub(super) fn try_receive(&mut self) -> bool {
        if self.rest.is_some() {
            return false;
        }
        match self.listeners[self.index].try_receive(&mut self.batch) {
            Ok(found) => found,
            Err(error) => {
                self.rest(&error);
                false
            }
        }
    }

    fn rest(&mut self, error: &io::Error) {
        let address = self.listeners[self.index].local_addr();
        warn!(%error, %address, "cannot receive");
        self.rest = Some(Instant::now() + REST);
    }
}

/// Passes datagrams on to the other shards. One whose inbox is full loses them, as a full socket
/// buffer would: CoAP repeats what matters.
pub(super) struct Sorter {
    pub(super) router: Arc<Router>,
    shards: Vec<mpsc::Sender<ToShard>>,
    /// Whose datagrams stay here.
    own: usize,
    parts: Vec<Packets>,
}

impl Sorter {
    pub(super) fn new(router: Arc<Router>, shards: Vec<mpsc::Sender<ToShard>>, own: u8) -> Self {
        let parts = shards.iter().map(|_| Packets::default()).collect();
        Sorter {
            router,
            shards,
            own: usize::from(own),
            parts,
        }
    }

    /// False if it is the own shard's, else it is taken.
    pub(super) fn take(&mut self, listener: ListenerId, received: Received<'_>) -> bool {
        let shard = self.router.shard(listener, received.peer, received.bytes);
        if shard == self.own {
            return false;
        }
        let Some(part) = self.parts.get_mut(shard) else {
            return true;
        };
        if part.items.is_empty() {
            part.data.reserve(ROOM);
            part.items.reserve(BATCH);
        }
        let start = part.data.len();
        part.data.extend_from_slice(received.bytes);
        part.items.push(Item {
            peer: received.peer,
            identity: received.identity.clone(),
            range: start..part.data.len(),
            window: received.window,
        });
        true
    }

    /// Passes on what was taken of a batch.
    pub(super) fn pass(&mut self, listener: ListenerId, batch: &ReceiveBatch) {
        for (index, (part, shard)) in self.parts.iter_mut().zip(&self.shards).enumerate() {
            if index == self.own {
                continue;
            }
            // Several devices may be behind a peer, in any shard.
            part.gone.extend_from_slice(batch.gone());
            if part.is_empty() {
                continue;
            }
            part.listener = listener;
            let packets = std::mem::take(part);
            if shard.try_send(ToShard::Packets(packets)).is_err() {
                debug!("a shard is too busy, datagrams dropped");
            }
        }
    }
}

/// Answers to what is longer than we take.
pub(super) fn refusals(batch: &ReceiveBatch) -> impl Iterator<Item = Outgoing> {
    batch.cut().filter_map(|received| {
        Some(Outgoing {
            to: received.peer,
            identity: received.identity.clone(),
            bytes: refuse_long(received.bytes)?,
        })
    })
}
