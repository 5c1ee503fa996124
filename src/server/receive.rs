//! The workers that receive: several may wait at one listener.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::message::{Packets, ToShard};
use super::peers::Router;
use tinsmith_lwm2m::{ListenerId, refuse_long};
use tinsmith_transport::udp::BATCH;
use tinsmith_transport::{Listener, Outgoing, ReceiveBatch};

/// Bytes of a batch of datagrams as they usually are; more is no fault.
const ROOM: usize = BATCH * 160;

/// Receives, routes and passes on. A shard whose inbox is full loses datagrams, as a full socket
/// buffer would: CoAP repeats what matters.
pub(super) struct Worker {
    pub(super) listeners: Arc<[Listener]>,
    /// Of the listener.
    pub(super) index: usize,
    pub(super) router: Arc<Router>,
    pub(super) shards: Vec<mpsc::Sender<ToShard>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Worker {
    pub(super) async fn run(mut self) {
        let listeners = Arc::clone(&self.listeners);
        let Some(listener) = listeners.get(self.index) else {
            return;
        };
        let mut batch = ReceiveBatch::new();
        let mut parts: Vec<Packets> = self.shards.iter().map(|_| Packets::default()).collect();
        loop {
            tokio::select! {
                biased;
                _ = self.stop.changed() => return,
                received = listener.receive(&mut batch) => {
                    if let Err(error) = received {
                        warn!(%error, address = %listener.local_addr(), "cannot receive");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                }
            }
            self.refuse(listener, &batch).await;
            self.distribute(&batch, &mut parts);
            for (part, shard) in parts.iter_mut().zip(&self.shards) {
                if part.is_empty() {
                    continue;
                }
                let packets = std::mem::take(part);
                if shard.try_send(ToShard::Packets(packets)).is_err() {
                    debug!("a shard is too busy, datagrams dropped");
                }
            }
        }
    }

    /// Answers what is longer than we take.
    async fn refuse(&self, listener: &Listener, batch: &ReceiveBatch) {
        let answers = batch.cut().filter_map(|received| {
            Some(Outgoing {
                to: received.peer,
                identity: received.identity.clone(),
                bytes: refuse_long(received.bytes)?,
            })
        });
        let mut answers: Vec<_> = answers.collect();
        if !answers.is_empty() {
            // What can't be sent now is repeated by the sender.
            let _ = listener.send(&mut answers, &mut Vec::new()).await;
        }
    }

    fn distribute(&self, batch: &ReceiveBatch, parts: &mut [Packets]) {
        let listener = ListenerId(self.index as u8);
        for received in batch.iter() {
            let shard = self.router.shard(listener, received.peer, received.bytes);
            let Some(part) = parts.get_mut(shard) else {
                continue;
            };
            if part.items.is_empty() {
                part.data.reserve(ROOM);
                part.items.reserve(BATCH);
            }
            let start = part.data.len();
            part.data.extend_from_slice(received.bytes);
            let identity = received.identity.clone();
            part.items
                .push((received.peer, identity, start..part.data.len()));
        }
        for part in parts {
            part.listener = listener;
            // Several devices may be behind a peer, in any shard.
            part.gone.extend_from_slice(batch.gone());
        }
    }
}
