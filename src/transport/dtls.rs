//! DTLS on a UDP socket. A thread of the listener's own makes handshakes and opens and seals
//! records, so that no shard ever waits for OpenSSL; what it has opened any number of shards take.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::time::Duration;

use tinsmith_dtls_server::{
    Config, Counters, Credentials, Failure, NotSent as NotSealed, Output, Server, Window,
};
use tinsmith_peer::{Identity, Peer};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::arrivals::{Arrival, take};
use super::{BoundUdp, NotSent, Outgoing, ReceiveBatch, UdpListener};

/// What waits for the shards, and what waits for the thread; more is lost, as on the way.
const WAITING: usize = 8192;
/// Things of one sort that are done in one turn.
const TURN: usize = 64;
/// How long to wait with what shards or the system did not take.
const REST: Duration = Duration::from_millis(50);

/// Makes associations durable. Called on the listener's thread, so it does not wait.
pub trait Keeper: Send + Sync {
    /// Makes a record durable under the number of its association, and says whether it is.
    fn keep(&self, number: u32, record: Vec<u8>, done: Box<dyn FnOnce(bool) + Send>);

    /// Removes the record of a number.
    fn forget(&self, number: u32);
}

/// What a DTLS listener starts from.
pub struct DtlsSetup {
    /// Limits and times.
    pub config: Config,
    /// Whom it lets in.
    pub credentials: Arc<dyn Credentials>,
    /// Random bytes for this listener only.
    pub seed: [u8; 32],
    /// Who keeps associations over a restart, if the configuration reserves numbers for that.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// What was kept.
    pub kept: Vec<Kept>,
}

/// An association as it was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub number: u32,
    /// What the keeper was given.
    pub record: Vec<u8>,
    /// The newest window that came with its data and was stored with what followed.
    pub window: Option<Window>,
}

/// An order to the thread that is not lost.
enum Order {
    Kept(u32, u64, bool),
    Revoke(Identity, bool),
    RevokeUnknown,
}

struct Shared {
    counters: StdMutex<Counters>,
    address: SocketAddr,
    inbox: Mutex<mpsc::Receiver<Arrival>>,
    outbox: mpsc::Sender<Outgoing>,
    orders: mpsc::UnboundedSender<Order>,
}

/// A DTLS listener. Its thread ends with the last clone.
#[derive(Clone)]
pub struct DtlsListener(Arc<Shared>);

impl DtlsListener {
    /// Listens on a socket that is bound. Kept associations are there before the first datagram is
    /// taken; one that can't be read is left where it is and told in the log.
    pub fn start(socket: &BoundUdp, setup: DtlsSetup) -> io::Result<Self> {
        let mut server = Server::new(0, setup.config, setup.credentials, setup.seed)
            .map_err(io::Error::other)?;
        let mut unreadable = 0;
        for kept in &setup.kept {
            let restored = server.restore(0, kept.number, &kept.record, kept.window);
            if restored.is_err() {
                unreadable += 1;
            }
        }
        // Whoever was believed then may not be now.
        server.revoke_unknown();
        let address = socket.local_addr();
        let restored = server.load().1;
        info!(%address, restored, unreadable, "DTLS");
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let udp = socket.listen()?;
        drop(inside);
        let (arrivals, inbox) = mpsc::channel(WAITING);
        let (outbox, outgoing) = mpsc::channel(WAITING);
        let (orders, ordered) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            counters: StdMutex::default(),
            address,
            inbox: Mutex::new(inbox),
            outbox,
            orders: orders.clone(),
        });
        let worker = Worker {
            server,
            udp,
            start: Instant::now(),
            batch: ReceiveBatch::new(),
            out: Vec::new(),
            arrivals,
            late: VecDeque::new(),
            outgoing,
            ordered,
            orders: orders.downgrade(),
            keeper: setup.keeper,
            rest: None,
            shared: Arc::downgrade(&shared),
        };
        std::thread::Builder::new()
            .name(format!("dtls-{}", address.port()))
            .spawn(move || runtime.block_on(worker.run()))?;
        Ok(Self(shared))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        let counters = self.0.counters.lock();
        *counters.unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of an identity was removed or changed: its associations end now; as
    /// of the server's.
    pub fn revoke(&self, identity: Identity, is_of_many: bool) {
        let _ = self.0.orders.send(Order::Revoke(identity, is_of_many));
    }

    /// Raw public keys or certificates are believed no more, whichever: associations of those end
    /// now.
    pub fn revoke_unknown(&self) {
        let _ = self.0.orders.send(Order::RevokeUnknown);
    }

    pub(super) async fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        let mut inbox = self.0.inbox.lock().await;
        let Some(first) = inbox.recv().await else {
            return pending().await;
        };
        take(first, || inbox.try_recv().ok(), batch);
        Ok(())
    }

    pub(super) fn try_receive(&self, batch: &mut ReceiveBatch) -> bool {
        // Who holds it takes what there is.
        let Ok(mut inbox) = self.0.inbox.try_lock() else {
            return false;
        };
        match inbox.try_recv() {
            Ok(first) => take(first, || inbox.try_recv().ok(), batch),
            Err(_) => return false,
        }
        true
    }

    pub(super) fn send(&self, batch: &mut Vec<Outgoing>, not_sent: &mut Vec<(Peer, NotSent)>) {
        for outgoing in batch.drain(..) {
            let to = outgoing.to;
            if to.association == 0 {
                not_sent.push((to, NotSent::Gone));
            } else if let Err(mpsc::error::TrySendError::Closed(_)) =
                self.0.outbox.try_send(outgoing)
            {
                not_sent.push((to, NotSent::Gone));
            }
        }
    }
}

/// What the thread has.
struct Worker {
    server: Server,
    udp: UdpListener,
    start: Instant,
    batch: ReceiveBatch,
    out: Vec<Outgoing>,
    arrivals: mpsc::Sender<Arrival>,
    /// Ends that the shards had no room for.
    late: VecDeque<Peer>,
    outgoing: mpsc::Receiver<Outgoing>,
    ordered: mpsc::UnboundedReceiver<Order>,
    orders: mpsc::WeakUnboundedSender<Order>,
    keeper: Option<Arc<dyn Keeper>>,
    /// When the socket may be asked again.
    rest: Option<Instant>,
    shared: Weak<Shared>,
}

impl Worker {
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    async fn run(mut self) {
        loop {
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
                received = self.udp.receive(&mut self.batch), if self.rest.is_none() => {
                    self.received(received);
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
            self.server.tick(self.now());
            self.drain().await;
            if let Some(shared) = self.shared.upgrade() {
                let counters = shared.counters.lock();
                *counters.unwrap_or_else(PoisonError::into_inner) = self.server.counters();
            }
        }
    }

    fn received(&mut self, received: io::Result<()>) {
        if let Err(error) = received {
            warn!(%error, address = %self.udp.local_addr(), "cannot receive");
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

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Kept(number, mark, durable) => self.server.kept(number, mark, durable),
            Order::Revoke(identity, is_of_many) => self.server.revoke(&identity, is_of_many),
            Order::RevokeUnknown => self.server.revoke_unknown(),
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
    async fn drain(&mut self) {
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
            }
        }
        if !self.out.is_empty()
            && let Err(error) = self.udp.send(&mut self.out).await
        {
            warn!(%error, "a datagram was not sent");
        }
        while let Some(peer) = self.late.front() {
            if self.arrivals.try_send(Arrival::Gone(*peer)).is_err() {
                return;
            }
            self.late.pop_front();
        }
    }

    fn keep(&self, number: u32, mark: u64, record: Vec<u8>) {
        let orders = self.orders.clone();
        let done = move |durable| {
            if let Some(orders) = orders.upgrade() {
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
        why => debug!(%from, ?why, "DTLS handshake failed"),
    }
}

#[cfg(test)]
mod tests;
