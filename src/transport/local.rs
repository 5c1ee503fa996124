//! A listener without a socket: who holds its [`Network`] says what comes in, sees what goes out,
//! and ends associations, as DTLS or TCP would.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tinsmith_peer::{Identity, Peer};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::arrivals::{Arrival, take};
use super::{Listener, NotSent, Outgoing, ReceiveBatch};

type Refusals = Arc<Mutex<HashMap<Peer, NotSent>>>;

/// The server's side.
pub struct LocalListener {
    address: SocketAddr,
    inbox: AsyncMutex<mpsc::UnboundedReceiver<Arrival>>,
    outbox: mpsc::UnboundedSender<Outgoing>,
    refusals: Refusals,
    refused: mpsc::UnboundedSender<Peer>,
}

/// The other side.
pub struct Network {
    inbox: mpsc::UnboundedSender<Arrival>,
    outbox: mpsc::UnboundedReceiver<Outgoing>,
    refusals: Refusals,
    refused: mpsc::UnboundedReceiver<Peer>,
}

/// Both sides of a listener that says it listens at `address`.
pub fn local(address: SocketAddr) -> (Listener, Network) {
    let (arrivals, inbox) = mpsc::unbounded_channel();
    let (outbox, sent) = mpsc::unbounded_channel();
    let (refuses, refused) = mpsc::unbounded_channel();
    let refusals = Refusals::default();
    let listener = LocalListener {
        address,
        inbox: AsyncMutex::new(inbox),
        outbox,
        refusals: Arc::clone(&refusals),
        refused: refuses,
    };
    let network = Network {
        inbox: arrivals,
        outbox: sent,
        refusals,
        refused,
    };
    (Listener::Local(listener), network)
}

impl Network {
    /// A datagram arrives. Of a longer one than [`MAX_DATAGRAM`](super::udp::MAX_DATAGRAM) there is the beginning.
    pub fn deliver(&self, from: Peer, identity: Identity, datagram: Vec<u8>) {
        let _ = self
            .inbox
            .send(Arrival::Datagram(from, identity, datagram, None));
    }

    /// An association ends.
    pub fn end(&self, peer: Peer) {
        let _ = self.inbox.send(Arrival::Gone(peer));
    }

    /// From now on nothing can be sent to a peer, or it can again.
    pub fn refuse(&self, peer: Peer, why: Option<NotSent>) {
        let mut refusals = lock(&self.refusals);
        match why {
            Some(why) => refusals.insert(peer, why),
            None => refusals.remove(&peer),
        };
    }

    /// What the server sends next; `None` when it has ended.
    pub async fn sent(&mut self) -> Option<Outgoing> {
        self.outbox.recv().await
    }

    /// To whom the server tries in vain to send next; `None` when it has ended.
    pub async fn refused(&mut self) -> Option<Peer> {
        self.refused.recv().await
    }
}

impl LocalListener {
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        let mut inbox = self.inbox.lock().await;
        let Some(first) = inbox.recv().await else {
            return std::future::pending().await;
        };
        take(first, || inbox.try_recv().ok(), batch);
        Ok(())
    }

    pub(super) fn try_receive(&self, batch: &mut ReceiveBatch) -> bool {
        // Who holds it takes what there is.
        let Ok(mut inbox) = self.inbox.try_lock() else {
            return false;
        };
        let first = inbox.try_recv();
        match first {
            Ok(first) => take(first, || inbox.try_recv().ok(), batch),
            Err(_) => return false,
        }
        true
    }

    pub(super) fn send(&self, batch: &mut Vec<Outgoing>, not_sent: &mut Vec<(Peer, NotSent)>) {
        let refusals = lock(&self.refusals);
        for outgoing in batch.drain(..) {
            match refusals.get(&outgoing.to) {
                Some(why) => {
                    not_sent.push((outgoing.to, *why));
                    let _ = self.refused.send(outgoing.to);
                }
                None => {
                    let _ = self.outbox.send(outgoing);
                }
            }
        }
    }
}

fn lock(refusals: &Refusals) -> std::sync::MutexGuard<'_, HashMap<Peer, NotSent>> {
    refusals.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp;

    #[tokio::test]
    async fn identity_and_association_go_both_ways() {
        let (listener, mut network) = local(([127, 0, 0, 1], 5684).into());
        let peer = Peer {
            association: 7,
            ..Peer::udp(([10, 0, 0, 1], 1).into())
        };
        let other = Peer::udp(peer.address);
        let psk = Identity::Psk(b"me".to_vec());
        network.deliver(peer, psk.clone(), b"hello".to_vec());
        network.deliver(other, Identity::None, vec![0; udp::MAX_DATAGRAM + 1]);
        network.end(other);
        let mut batch = ReceiveBatch::new();
        listener.receive(&mut batch).await.unwrap();
        let found: Vec<_> = batch.iter().collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].peer, found[0].identity), (peer, &psk));
        assert_eq!(found[0].bytes, b"hello");
        assert_eq!(batch.gone(), [other]);
        let cut: Vec<_> = batch.cut().map(|r| (r.peer, r.bytes.len())).collect();
        assert_eq!(cut, [(other, udp::MAX_DATAGRAM)]);
        assert!(!listener.try_receive(&mut batch).unwrap());
        network.end(peer);
        assert!(listener.try_receive(&mut batch).unwrap());
        assert_eq!((batch.iter().count(), batch.gone()), (0, &[peer][..]));

        let to = |to: Peer| Outgoing {
            to,
            identity: psk.clone(),
            bytes: vec![1],
        };
        network.refuse(other, Some(NotSent::Handshaking));
        let mut not_sent = Vec::new();
        let mut out = vec![to(other), to(peer)];
        listener.send(&mut out, &mut not_sent).await.unwrap();
        assert_eq!(not_sent, [(other, NotSent::Handshaking)]);
        assert_eq!(network.refused().await, Some(other));
        assert_eq!(network.sent().await, Some(to(peer)));
        network.refuse(other, None);
        let mut out = vec![to(other)];
        listener.send(&mut out, &mut not_sent).await.unwrap();
        assert_eq!(network.sent().await, Some(to(other)));
    }
}
