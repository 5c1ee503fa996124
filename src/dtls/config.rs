//! What a server is told, and what it tells.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use tinsmith_dtls::Window;
use tinsmith_peer::{Identity, Peer};

use crate::handshake::Failure;
use crate::own::Own;

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which of a listener's servers it is, from 0; its Connection IDs and association numbers say so.
    pub worker: u8,
    /// The longest datagram that a handshake sends, in bytes.
    pub mtu: u32,
    /// How long a handshake waits before it repeats a flight the first time; then twice as long.
    pub first_timeout: Duration,
    /// Handshakes at the same time, of all servers of a listener. One more is not begun; its client tries again.
    pub handshakes: usize,
    /// The same from one IPv4 address or IPv6 /64.
    pub handshakes_per_source: usize,
    /// How long a handshake may take.
    pub handshake_time: Duration,
    /// Associations, of all servers of a listener. For one more, one goes that was not heard for
    /// long.
    pub associations: usize,
    /// How many record numbers are reserved at a time for associations that are
    /// [kept](Output::Keep); none if nobody keeps them.
    pub reserve: Option<u64>,
    /// The key and the certificate of the server itself; without, there are pre-shared keys only.
    pub own: Option<Own>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            worker: 0,
            mtu: 1232,
            first_timeout: Duration::from_secs(1),
            handshakes: 2048,
            handshakes_per_source: 256,
            handshake_time: Duration::from_secs(60),
            associations: 200_000,
            reserve: None,
            own: None,
        }
    }
}

/// What a server wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Transmit(SocketAddr, Vec<u8>),
    /// Data of a peer that proved who it is.
    Received {
        /// Its address now, and the number of its association.
        peer: Peer,
        /// What it proved.
        identity: Arc<Identity>,
        /// What it sent.
        data: Vec<u8>,
        /// What was received of the association then; to be given to
        /// [`restore`](crate::Server::restore), if what the data caused is durable.
        window: Window,
    },
    /// An association has ended.
    Gone(Peer),
    /// A handshake failed.
    Failed(SocketAddr, Failure),
    /// Make this durable under the association's number, then call
    /// [`kept`](crate::Server::kept) with the mark.
    Keep {
        /// Of the association.
        number: u32,
        /// What is given back.
        mark: u64,
        /// The record, keys included.
        record: Vec<u8>,
    },
    /// Remove what was kept under this number.
    Forget(u32),
    /// Give a datagram to another server of the listener, as
    /// [`handed_over`](crate::Server::handed_over), if it has room.
    HandOver {
        /// Which.
        to: usize,
        /// Where it came from.
        from: SocketAddr,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// Ask another server of the listener for something, as [`asked`](crate::Server::asked); that
    /// must not be lost.
    Ask(usize, Ask),
}

/// What a server asks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To end an association: there is a later one in its place.
    End(u32),
    /// To make room for one more.
    Evict,
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// Not now: the numbers for further records are not durable yet.
    Waiting,
    /// There is no such association.
    Gone,
    /// It is too long for a record.
    TooLong,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// ClientHellos that were answered with a cookie.
    pub cookies: u64,
    /// Handshakes begun.
    pub begun: u64,
    /// Handshakes not begun as there were too many.
    pub refused: u64,
    /// Handshakes that led to an association.
    pub completed: u64,
    /// Handshakes that failed.
    pub failed: u64,
    /// Associations that went to make room for others.
    pub evicted: u64,
    /// Datagrams without an authentic, new record.
    pub dropped: u64,
    /// Datagrams for another server of the listener that had no room for them.
    pub not_handed_over: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self {
            cookies,
            begun,
            refused,
            completed,
            failed,
            evicted,
            dropped,
            not_handed_over,
        } = other;
        self.cookies += cookies;
        self.begun += begun;
        self.refused += refused;
        self.completed += completed;
        self.failed += failed;
        self.evicted += evicted;
        self.dropped += dropped;
        self.not_handed_over += not_handed_over;
    }
}
