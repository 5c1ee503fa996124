//! DTLS on UDP sockets at one address. Each has a worker, a thread of the listener's own that makes
//! handshakes and opens and seals records, so that no shard ever waits for OpenSSL; what workers have
//! opened any number of shards take.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tinsmith_dtls_server::{Ask, Config, Counters, Credentials, Own, Server, Siblings, Window};
use tinsmith_peer::{Identity, Peer};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tracing::info;

use super::arrivals::{Arrival, take};
use super::{BoundUdp, Listener, NotSent, Outgoing, ReceiveBatch};

mod worker;

use worker::{Other, Worker};

/// The most workers of a listener.
pub const MAX_WORKERS: usize = 16;
/// What waits for the shards, and what waits for each worker; more is lost, as on the way.
const WAITING: usize = 8192;
/// Datagrams that wait for a worker and came to another; more are lost.
const HANDED_OVER: usize = 1024;

/// Makes associations durable. Called on threads of the listener, so it does not wait.
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

struct Shared {
    siblings: Arc<Siblings>,
    address: SocketAddr,
    inbox: Mutex<mpsc::Receiver<Arrival>>,
    workers: Vec<Handle>,
}

/// A worker from outside.
struct Handle {
    counters: Arc<StdMutex<Counters>>,
    outbox: mpsc::Sender<Outgoing>,
    orders: mpsc::UnboundedSender<Order>,
}

/// An order to a worker that is not lost.
enum Order {
    Kept(u32, u64, bool),
    Revoke(Identity, bool),
    RevokeUnknown,
    Renew(Box<Own>),
    Ask(Ask),
}

/// A DTLS listener. Its threads end with the last clone.
#[derive(Clone)]
pub struct DtlsListener(Arc<Shared>);

impl DtlsListener {
    /// Listens on sockets that are bound to one address, each on a thread of its own; the system says
    /// which of them gets what an address sends. Kept associations are there before the first datagram
    /// is taken; one that can't be read is left where it is and told in the log.
    pub fn start(sockets: &[BoundUdp], setup: &DtlsSetup) -> io::Result<Self> {
        let Some(first) = sockets.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let address = first.local_addr();
        let (listener, workers) = Self::with_workers(address, sockets.len(), setup)?;
        for (index, (socket, worker)) in sockets.iter().zip(workers).enumerate() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let inside = runtime.enter();
            let udp = Listener::Udp(socket.listen()?);
            drop(inside);
            std::thread::Builder::new()
                .name(format!("dtls-{}-{index}", address.port()))
                .spawn(move || runtime.block_on(worker.run(udp)))?;
        }
        Ok(listener)
    }

    /// A listener whose workers are to be run.
    fn with_workers(
        address: SocketAddr,
        count: usize,
        setup: &DtlsSetup,
    ) -> io::Result<(Self, Vec<Worker>)> {
        let siblings = Siblings::new(count, setup.seed);
        let mut servers = Vec::new();
        for index in 0..siblings.servers() {
            let config = Config {
                worker: index as u8,
                ..setup.config.clone()
            };
            let credentials = Arc::clone(&setup.credentials);
            let server = Server::beside(0, config, credentials, &siblings);
            servers.push(server.map_err(io::Error::other)?);
        }
        let mut unreadable = 0;
        for kept in &setup.kept {
            let server = &mut servers[siblings.owner(kept.number)];
            let restored = server.restore(0, kept.number, &kept.record, kept.window);
            unreadable += usize::from(restored.is_err());
        }
        // Whoever was believed then may not be now.
        servers.iter_mut().for_each(Server::revoke_unknown);
        let restored: usize = servers.iter().map(|server| server.load().1).sum();
        let workers = servers.len();
        info!(%address, workers, restored, unreadable, "DTLS");
        let (arrivals, inbox) = mpsc::channel(WAITING);
        let mut handles = Vec::new();
        let (mut others, mut ends) = (Vec::new(), Vec::new());
        for _ in &servers {
            let (outbox, outgoing) = mpsc::channel(WAITING);
            let (orders, ordered) = mpsc::unbounded_channel();
            let (hand_over, handed) = mpsc::channel(HANDED_OVER);
            others.push(Other {
                hand_over,
                orders: orders.downgrade(),
            });
            let counters = Arc::default();
            ends.push((outgoing, ordered, handed, Arc::clone(&counters)));
            handles.push(Handle {
                counters,
                outbox,
                orders,
            });
        }
        let others: Arc<[Other]> = others.into();
        let start = Instant::now();
        let workers = servers.into_iter().zip(ends).enumerate();
        let workers = workers.map(|(index, (server, ends))| {
            let (outgoing, ordered, handed, counters) = ends;
            Worker {
                index,
                server,
                start,
                batch: ReceiveBatch::new(),
                out: Vec::new(),
                arrivals: arrivals.clone(),
                late: Default::default(),
                outgoing,
                ordered,
                handed,
                others: Arc::clone(&others),
                keeper: setup.keeper.clone(),
                rest: None,
                counters,
            }
        });
        let workers = workers.collect();
        let shared = Shared {
            siblings,
            address,
            inbox: Mutex::new(inbox),
            workers: handles,
        };
        Ok((Self(Arc::new(shared)), workers))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for worker in &self.0.workers {
            let counters = worker.counters.lock();
            sum += *counters.unwrap_or_else(PoisonError::into_inner);
        }
        sum
    }

    /// The key of an identity was removed or changed: its associations end now; as
    /// of the server's.
    pub fn revoke(&self, identity: &Identity, is_of_many: bool) {
        self.order(|| Order::Revoke(identity.clone(), is_of_many));
    }

    /// Raw public keys or certificates are believed no more, whichever: associations of those end
    /// now.
    pub fn revoke_unknown(&self) {
        self.order(|| Order::RevokeUnknown);
    }

    /// Shows and believes something else from now on; as of the server's.
    pub fn renew(&self, own: &Own) {
        self.order(|| Order::Renew(Box::new(own.clone())));
    }

    /// To every worker.
    fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.0.workers {
            let _ = worker.orders.send(order());
        }
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
            let owner = self.0.siblings.owner(to.association);
            let worker = self.0.workers.get(owner);
            let Some(worker) = worker.filter(|_| to.association != 0) else {
                not_sent.push((to, NotSent::Gone));
                continue;
            };
            if let Err(mpsc::error::TrySendError::Closed(_)) = worker.outbox.try_send(outgoing) {
                not_sent.push((to, NotSent::Gone));
            }
        }
    }
}

#[cfg(test)]
mod tests;
