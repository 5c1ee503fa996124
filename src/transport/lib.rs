//! The sockets. They only frame and decrypt; everything else is the cores'.
//!
//! What goes in and out carries the peer (address and association) and the identity that its
//! security proved, so that the cores need not know which transport it is.

mod arrivals;
pub mod dtls;
pub mod local;
pub mod udp;

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use tinsmith_peer::{Identity, Peer};

pub use dtls::{DtlsListener, DtlsSetup, Keeper, Kept};
pub use local::{LocalListener, Network};
pub use tinsmith_dtls_server::{Config as DtlsConfig, Counters as DtlsCounters, Window};
pub use udp::{BoundUdp, UdpListener};

/// A datagram that came in, decrypted.
#[derive(Clone, Copy, Debug)]
pub struct Received<'b> {
    /// Who sent it.
    pub peer: Peer,
    /// What its security proved.
    pub identity: &'b Identity,
    /// One datagram.
    pub bytes: &'b [u8],
    /// What its association had received with it, to be stored with what follows from it.
    pub window: Option<Window>,
}

/// A datagram whose bytes are elsewhere.
#[derive(Clone, Debug)]
pub struct Item {
    /// Who sent it.
    pub peer: Peer,
    /// What its security proved.
    pub identity: Identity,
    /// Where its bytes are.
    pub range: Range<usize>,
    /// As of [`Received`].
    pub window: Option<Window>,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: Peer,
    /// Who must be there.
    pub identity: Identity,
    /// One datagram.
    pub bytes: Vec<u8>,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The association is being made. To CoAP the datagram is lost, and repeated.
    Handshaking,
    /// There is no way to the peer any more, and none of ours to make one.
    Gone,
}

/// What came in by one call.
pub struct ReceiveBatch {
    buffer: Box<[u8]>,
    items: Vec<Item>,
    /// Like `items`.
    cut: Vec<Item>,
    gone: Vec<Peer>,
}

impl ReceiveBatch {
    /// With its own memory, [`udp::BATCH`] times [`udp::MAX_DATAGRAM`].
    pub fn new() -> Self {
        ReceiveBatch {
            buffer: vec![0; udp::BATCH * udp::MAX_DATAGRAM].into_boxed_slice(),
            items: Vec::with_capacity(udp::BATCH),
            cut: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// The datagrams, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.received(&self.items)
    }

    /// The first [`udp::MAX_DATAGRAM`] bytes of those that are longer.
    pub fn cut(&self) -> impl Iterator<Item = Received<'_>> {
        self.received(&self.cut)
    }

    fn received<'b>(&'b self, items: &'b [Item]) -> impl Iterator<Item = Received<'b>> {
        items.iter().map(|item| Received {
            peer: item.peer,
            identity: &item.identity,
            bytes: &self.buffer[item.range.clone()],
            window: item.window,
        })
    }

    /// Peers whose associations have ended.
    pub fn gone(&self) -> &[Peer] {
        &self.gone
    }

    fn clear(&mut self) {
        self.items.clear();
        self.cut.clear();
        self.gone.clear();
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// The address of a listener that is none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is bound and can be listened at by several runtimes.
pub enum Bound {
    /// Nothing: it only has its place among others.
    None,
    /// DTLS over UDP.
    Dtls(DtlsListener),
    /// Plain UDP.
    Udp(BoundUdp),
}

impl Bound {
    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        match self {
            Bound::None => NOWHERE,
            Bound::Dtls(dtls) => dtls.local_addr(),
            Bound::Udp(udp) => udp.local_addr(),
        }
    }

    /// Listens on the running tokio runtime. What comes in goes to one of those that listen.
    pub fn listen(&self) -> io::Result<Listener> {
        Ok(match self {
            Bound::None => Listener::None,
            Bound::Dtls(dtls) => Listener::Dtls(dtls.clone()),
            Bound::Udp(udp) => Listener::Udp(udp.listen()?),
        })
    }
}

/// One listener, of whatever transport.
pub enum Listener {
    /// Nothing ever comes in, and nobody can be sent anything.
    None,
    /// DTLS over UDP, on a thread of its own.
    Dtls(DtlsListener),
    /// Plain UDP.
    Udp(UdpListener),
    /// No socket: a test or a simulation is the network.
    Local(LocalListener),
}

impl Listener {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        match self {
            Listener::None => NOWHERE,
            Listener::Dtls(dtls) => dtls.local_addr(),
            Listener::Udp(udp) => udp.local_addr(),
            Listener::Local(local) => local.local_addr(),
        }
    }

    /// Waits until something comes in, and takes what there is. Any number of tasks may wait.
    pub async fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        match self {
            Listener::None => pending().await,
            Listener::Dtls(dtls) => dtls.receive(batch).await,
            Listener::Udp(udp) => udp.receive(batch).await,
            Listener::Local(local) => local.receive(batch).await,
        }
    }

    /// Takes what there is without waiting; false if there is nothing, as far as is known without
    /// asking the system.
    pub fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<bool> {
        match self {
            Listener::None => Ok(false),
            Listener::Dtls(dtls) => Ok(dtls.try_receive(batch)),
            Listener::Udp(udp) => udp.try_receive(batch),
            Listener::Local(local) => Ok(local.try_receive(batch)),
        }
    }

    /// Sends all of `batch` and empties it; says what was not sent and why. What the system
    /// refuses for another reason is lost on the way, to CoAP.
    pub async fn send(
        &self,
        batch: &mut Vec<Outgoing>,
        not_sent: &mut Vec<(Peer, NotSent)>,
    ) -> io::Result<()> {
        match self {
            Listener::None => {
                let gone = batch.drain(..).map(|outgoing| (outgoing.to, NotSent::Gone));
                not_sent.extend(gone);
                Ok(())
            }
            Listener::Dtls(dtls) => {
                dtls.send(batch, not_sent);
                Ok(())
            }
            Listener::Udp(udp) => udp.send(batch).await,
            Listener::Local(local) => {
                local.send(batch, not_sent);
                Ok(())
            }
        }
    }
}
