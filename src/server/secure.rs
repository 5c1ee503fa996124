//! DTLS: its listeners, and its associations between listener and store.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;

use super::message::ToShard;
use super::{StartError, bind, random};
use tinsmith_lwm2m::{Access, Identity, OscoreContexts, bucket};
use tinsmith_security::{Key as SealingKey, Keys, Own, Purpose, Seal};
use tinsmith_store::{Batch, Key, Kind, Op, Store, StoreError};
use tinsmith_transport::{
    Bound, BoundUdp, DtlsConfig, DtlsListener, DtlsSetup, Keeper, Kept, Window,
};

/// Schema of the records of associations, whose content has a version of its own.
const SCHEMA: [u8; 2] = [0, 1];
/// How many record numbers of an association are reserved at a time.
const NUMBERS: u64 = 1024;

/// What `tinsmith serve` is told about DTLS.
#[derive(Clone)]
pub struct SecureConfig {
    /// Management listener; port 0 lets the system choose.
    pub management: SocketAddr,
    /// Bootstrap listener; `None`: no bootstrap server with DTLS.
    pub bootstrap: Option<SocketAddr>,
    /// Keys of devices; they say who may be which device, on all listeners.
    pub keys: Arc<Keys>,
    /// Key and certificate of the server, and the authorities of devices; `None`: pre-shared keys
    /// only.
    pub own: Option<Own>,
    /// Seals associations in the store. Those that it does not open are forgotten, so with another
    /// key none goes on whose record numbers may have been used since: after a restored backup.
    pub associations: SealingKey,
}

impl fmt::Debug for SecureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureConfig")
            .field("management", &self.management)
            .field("bootstrap", &self.bootstrap)
            .finish_non_exhaustive()
    }
}

impl SecureConfig {
    pub(super) fn access(&self) -> Arc<dyn Access> {
        Arc::clone(&self.keys) as Arc<dyn Access>
    }

    pub(super) fn contexts(&self) -> Arc<dyn OscoreContexts> {
        Arc::clone(&self.keys) as Arc<dyn OscoreContexts>
    }

    /// Has shards told of OSCORE contexts that are taken away. They open and seal nothing with them
    /// from that moment on; that they are told ends what waits for an answer. One whose inbox is full
    /// is not told, and what waits there ends by itself.
    pub(super) fn on_revoke_context(&self, shards: &[mpsc::Sender<ToShard>]) {
        let shards: Vec<_> = shards.iter().map(mpsc::Sender::downgrade).collect();
        self.keys
            .on_revoke_context(Box::new(move |endpoint, device| {
                let shard = shards.get(usize::from(bucket(endpoint)) % shards.len().max(1));
                if let Some(shard) = shard.and_then(mpsc::WeakSender::upgrade) {
                    let identity = Identity::Oscore(device.to_vec());
                    let _ = shard.try_send(ToShard::Revoked(identity));
                }
            }));
    }

    /// The listener for management, with the associations that were kept, and the one for bootstrap,
    /// whose associations end with the process; each with so many workers.
    pub(super) fn listeners(
        &self,
        store: &Arc<dyn Store>,
        kept: Vec<Kept>,
        workers: usize,
    ) -> Result<Vec<Bound>, StartError> {
        let keeper = Keeping {
            store: Arc::clone(store),
            seal: self.associations.clone(),
        };
        let sockets = beside_each_other(self.management, workers)?;
        let mut all = vec![self.listen(&sockets, Purpose::Management, kept, Some(keeper))?];
        if let Some(address) = self.bootstrap {
            let sockets = beside_each_other(address, workers)?;
            all.push(self.listen(&sockets, Purpose::Bootstrap, Vec::new(), None)?);
        }
        let revoking = all.clone();
        self.keys.on_revoke(Box::new(move |entry| {
            let identity = Identity::Psk(entry.identity.as_bytes().to_vec());
            let index = match entry.purpose {
                Purpose::Management => 0,
                Purpose::Bootstrap => 1,
            };
            if let Some(listener) = revoking.get(index) {
                listener.revoke(&identity, !entry.is_of_one());
            }
        }));
        let rechecking = all.clone();
        self.keys.on_recheck(Box::new(move || {
            rechecking.iter().for_each(DtlsListener::revoke_unknown);
        }));
        Ok(all.into_iter().map(Bound::Dtls).collect())
    }

    fn listen(
        &self,
        sockets: &[BoundUdp],
        purpose: Purpose,
        kept: Vec<Kept>,
        keeper: Option<Keeping>,
    ) -> Result<DtlsListener, StartError> {
        let address = sockets
            .first()
            .map_or(self.management, BoundUdp::local_addr);
        let setup = DtlsSetup {
            config: DtlsConfig {
                reserve: keeper.as_ref().map(|_| NUMBERS),
                own: self.own.clone(),
                ..DtlsConfig::default()
            },
            credentials: self.keys.credentials(purpose),
            seed: random()?,
            keeper: keeper.map(|keeper| Arc::new(keeper) as Arc<dyn Keeper>),
            kept,
        };
        let listener = DtlsListener::start(sockets, &setup);
        listener.map_err(|source| StartError::Bind { address, source })
    }

    /// Reads the associations that were kept. One that can't be read is of no use ever again, and is
    /// forgotten.
    pub(super) async fn kept(&self, store: &Arc<dyn Store>) -> Result<Vec<Kept>, StoreError> {
        let seal = &self.associations;
        let mut kept: Vec<Kept> = Vec::new();
        let mut forgotten = 0;
        // A window comes right behind its association.
        for (key, stored) in store.load(Kind::ASSOCIATION).await? {
            let content = stored.bytes.strip_prefix(&SCHEMA);
            let is_known = match (key.id.split_first_chunk(), content) {
                (Some((number, [])), Some(sealed)) => {
                    let opened = seal.open(number, sealed);
                    opened.is_ok_and(|record| {
                        kept.push(Kept {
                            number: u32::from_be_bytes(*number),
                            record: record.to_vec(),
                            window: None,
                        });
                        true
                    })
                }
                (Some((number, WINDOW)), Some(content)) => {
                    let number = u32::from_be_bytes(*number);
                    let its = kept.last_mut().filter(|kept| kept.number == number);
                    its.is_some_and(|kept| {
                        kept.window = window(content);
                        kept.window.is_some()
                    })
                }
                _ => false,
            };
            if !is_known {
                forgotten += usize::from(key.id.len() == 4);
                store.commit_with(Batch::delete(key), Box::new(|_| ()));
            }
        }
        if forgotten > 0 {
            warn!(
                forgotten,
                "associations of another store: these devices make new handshakes"
            );
        }
        Ok(kept)
    }
}

/// So many sockets at one address.
fn beside_each_other(address: SocketAddr, count: usize) -> Result<Vec<BoundUdp>, StartError> {
    let first = bind(address)?;
    let others: io::Result<Vec<_>> = (1..count).map(|_| first.beside()).collect();
    let mut sockets = others.map_err(|source| StartError::Bind { address, source })?;
    sockets.insert(0, first);
    Ok(sockets)
}

struct Keeping {
    store: Arc<dyn Store>,
    seal: SealingKey,
}

/// What the ids of windows have behind the number.
const WINDOW: &[u8] = b"w";

fn key(number: u32) -> Key {
    Key::new(Kind::ASSOCIATION, number.to_be_bytes())
}

fn window_key(number: u32) -> Key {
    Key::new(Kind::ASSOCIATION, [&number.to_be_bytes(), WINDOW].concat())
}

/// Keeps what an association had received with a datagram, together with what follows from that.
pub(super) fn received(number: u32, window: Window) -> Op {
    let (next, seen) = window.parts();
    let record = [&SCHEMA[..], &next.to_be_bytes(), &seen.to_be_bytes()].concat();
    Op::Put(window_key(number), record)
}

fn window(content: &[u8]) -> Option<Window> {
    let (next, seen) = content.split_first_chunk()?;
    let seen = <[u8; 8]>::try_from(seen).ok()?;
    Window::from_parts(u64::from_be_bytes(*next), u64::from_be_bytes(seen))
}

impl Keeper for Keeping {
    fn keep(&self, number: u32, record: Vec<u8>, done: Box<dyn FnOnce(bool) + Send>) {
        let sealed = match self.seal.seal(&number.to_be_bytes(), &record) {
            Ok(sealed) => sealed,
            Err(error) => {
                warn!(%error, "an association can't be kept");
                return done(false);
            }
        };
        let record = [&SCHEMA[..], &sealed].concat();
        let batch = Batch::put(key(number), record);
        let done = move |result: Result<_, StoreError>| done(result.is_ok());
        self.store.commit_with(batch, Box::new(done));
    }

    fn forget(&self, number: u32) {
        let batch = Batch {
            expect: Vec::new(),
            ops: vec![Op::Delete(key(number)), Op::Delete(window_key(number))],
        };
        // One that stays is read at the next start, and evicted in time.
        self.store.commit_with(batch, Box::new(|_| ()));
    }
}
