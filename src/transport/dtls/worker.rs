//! A worker of a DTLS listener: a socket and the DTLS server behind it.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tinsmith_dtls_server::{Counters, Failure, NotSent as NotSealed, Output, Server};
use tinsmith_peer::{Identity, Peer};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::{Keeper, Order};
use crate::arrivals::Arrival;
use crate::{Listener, Outgoing, ReceiveBatch};

/// Things of one sort that are done in one turn.
const TURN: usize = 64;
/// How long to wait with what shards or the system did not take.
const REST: Duration = Duration::from_millis(50);

/// A worker for the others, and for itself.
pub(super) struct Other {
    pub(super) hand_over: mpsc::Sender<HandedOver>,
    pub(super) orders: mpsc::WeakUnboundedSender<Order>,
}

/// A datagram that came to another worker.
pub(super) struct HandedOver {
    from: SocketAddr,
    datagram: Vec<u8>,
}

/// What the thread has.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) server: Server,
    pub(super) start: Instant,
    pub(super) batch: ReceiveBatch,
    pub(super) out: Vec<Outgoing>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    /// Ends that the shards had no room for.
    pub(super) late: VecDeque<Peer>,
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    pub(super) ordered: mpsc::UnboundedReceiver<Order>,
    pub(super) handed: mpsc::Receiver<HandedOver>,
    pub(super) others: Arc<[Other]>,
    pub(super) keeper: Option<Arc<dyn Keeper>>,
    /// When the socket may be asked again.
    pub(super) rest: Option<Instant>,
    pub(super) counters: Arc<StdMutex<Counters>>,
}

impl Worker {
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Until the listener is dropped.
    pub(super) async fn run(mut self, socket: Listener) {
        loop {
            // Restored associations may have something to say before anything comes.
            self.drain(&socket).await;
            let due = self.server.next_deadline();
            let due = due.map(|at| self.start + Duration::from_millis(at));
            let late = (!self.late.is_empty()).then(|| Instant::now() + REST);
            let wake = due.into_iter().chain(late).chain(self.rest).min();
            let alarm = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                order = self.ordered.recv() => match order {
                    Some(order) => self.carry_out(order),
                    None => return,
                },
                Some(outgoing) = self.outgoing.recv() => self.seal(&outgoing),
                Some(handed) = self.handed.recv() => self.handed_over(handed),
                received = socket.receive(&mut self.batch), if self.rest.is_none() => {
                    self.received(received, socket.local_addr());
                }
                () = alarm => {}
            }
            if self.rest.is_some_and(|at| at <= Instant::now()) {
                self.rest = None;
            }
            for _ in 0..TURN {
                let Ok(outgoing) = self.outgoing.try_recv() else {
                    break;
                };
                self.seal(&outgoing);
            }
            for _ in 0..TURN {
                let Ok(handed) = self.handed.try_recv() else {
                    break;
                };
                self.handed_over(handed);
            }
            self.server.tick(self.now());
        }
    }

    fn received(&mut self, received: io::Result<()>, address: SocketAddr) {
        if let Err(error) = received {
            warn!(%error, %address, "cannot receive");
            self.rest = Some(Instant::now() + REST);
            return;
        }
        let now = self.now();
        let ReceiveBatch { buffer, items, .. } = &mut self.batch;
        for item in items.drain(..) {
            let datagram = &mut buffer[item.range];
            self.server.handle(now, item.peer.address, datagram);
        }
    }

    fn handed_over(&mut self, mut handed: HandedOver) {
        let now = self.now();
        self.server
            .handed_over(now, handed.from, &mut handed.datagram);
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Kept(number, mark, durable) => self.server.kept(number, mark, durable),
            Order::Revoke(identity, is_of_many) => self.server.revoke(&identity, is_of_many),
            Order::RevokeUnknown => self.server.revoke_unknown(),
            Order::Renew(own) => {
                if let Err(error) = self.server.renew(*own) {
                    warn!(%error, "OpenSSL keeps the certificates of before");
                }
            }
            Order::Ask(ask) => self.server.asked(ask),
        }
    }

    fn seal(&mut self, outgoing: &Outgoing) {
        let number = outgoing.to.association;
        let its = self.server.identity(number) == Some(&outgoing.identity);
        let sent = match its {
            true => self.server.send(number, &outgoing.bytes),
            false => Err(NotSealed::Gone),
        };
        match sent {
            Ok(()) => {}
            Err(NotSealed::Gone) => self.late.push_back(outgoing.to),
            Err(why) => debug!(peer = %outgoing.to, ?why, "not sent"),
        }
    }

    /// Does what the server wants done.
    async fn drain(&mut self, socket: &Listener) {
        // Whoever is told of something finds it counted.
        self.tell();
        while let Some(output) = self.server.poll() {
            match output {
                Output::Transmit(to, bytes) => self.out.push(Outgoing {
                    to: Peer::udp(to),
                    identity: Identity::None,
                    bytes,
                }),
                Output::Received {
                    peer,
                    identity,
                    data,
                    window,
                } => {
                    let identity = Identity::clone(&identity);
                    let arrival = Arrival::Datagram(peer, identity, data, Some(window));
                    if self.arrivals.try_send(arrival).is_err() {
                        debug!(%peer, "the shards are too busy, a datagram is dropped");
                    }
                }
                Output::Gone(peer) => self.late.push_back(peer),
                Output::Failed(from, why) => failed(from, &why),
                Output::Keep {
                    number,
                    mark,
                    record,
                } => self.keep(number, mark, record),
                Output::Forget(number) => {
                    if let Some(keeper) = &self.keeper {
                        keeper.forget(number);
                    }
                }
                Output::HandOver { to, from, datagram } => {
                    let handed = HandedOver { from, datagram };
                    let other = self.others.get(to);
                    if other.is_none_or(|other| other.hand_over.try_send(handed).is_err()) {
                        self.server.not_handed_over();
                        self.tell();
                    }
                }
                Output::Ask(of, ask) => {
                    let orders = self.others.get(of).and_then(|o| o.orders.upgrade());
                    if let Some(orders) = orders {
                        let _ = orders.send(Order::Ask(ask));
                    }
                }
            }
        }
        if !self.out.is_empty() {
            // What it was told was not sent is lost on the way.
            let mut not_sent = Vec::new();
            if let Err(error) = socket.send(&mut self.out, &mut not_sent).await {
                warn!(%error, "a datagram was not sent");
            }
        }
        while let Some(peer) = self.late.front() {
            if self.arrivals.try_send(Arrival::Gone(*peer)).is_err() {
                return;
            }
            self.late.pop_front();
        }
    }

    fn tell(&self) {
        let counters = self.counters.lock();
        *counters.unwrap_or_else(PoisonError::into_inner) = self.server.counters();
    }

    fn keep(&self, number: u32, mark: u64, record: Vec<u8>) {
        let orders = self.others.get(self.index).map(|own| own.orders.clone());
        let done = move |durable| {
            if let Some(orders) = orders.and_then(|orders| orders.upgrade()) {
                let _ = orders.send(Order::Kept(number, mark, durable));
            }
        };
        match &self.keeper {
            Some(keeper) => keeper.keep(number, record, Box::new(done)),
            None => done(false),
        }
    }
}

/// Tells of a handshake that failed.
fn failed(from: SocketAddr, why: &Failure) {
    match why {
        Failure::UnknownIdentity(identity) => {
            let identity = identity.escape_ascii();
            info!(%from, %identity, "DTLS refused: nobody has this identity");
        }
        Failure::WrongKey(identity) => {
            let identity = identity.escape_ascii();
            info!(%from, %identity, "DTLS refused: the device has another key");
        }
        Failure::NotBelieved(why) => {
            info!(%from, %why, "DTLS refused: a certificate or raw public key is not believed");
        }
        Failure::TakenAway => {
            info!(%from, "DTLS refused: the key was removed or changed during the handshake");
        }
        why => debug!(%from, ?why, "DTLS handshake failed"),
    }
}
