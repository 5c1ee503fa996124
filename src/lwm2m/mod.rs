//! The server's LwM2M logic without sockets or clocks.
//!
//! A [`Shard`] owns the devices whose endpoint names hash to it. [`Shard::handle`] takes one
//! [`Input`]; after each, [`Shard::poll`] is drained; [`Shard::next_deadline`] says when
//! [`Input::Tick`] is due.

mod peer;
pub mod types;

pub use peer::{Identity, ListenerId, Peer, Role};
pub use types::*;

use crate::store::{Batch, StoreError, Version};

/// Names a batch until it is durable; unique within its shard and asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersistId(pub u64);

/// Something for a shard.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram, decrypted.
    Inbound {
        /// Where it came in.
        listener: ListenerId,
        /// Who sent it.
        peer: Peer,
        /// What its security proved.
        identity: Identity,
        /// The CoAP message.
        bytes: &'a [u8],
    },
    /// Ask a device.
    Command(DeviceRequest),
    /// Forget a request; it ends with [`Outcome::Cancelled`].
    Withdraw(RequestId),
    /// A batch is durable.
    Persisted(PersistId, Version),
    /// A batch failed; what waited for it was dropped.
    PersistFailed(PersistId, StoreError),
    /// The transport lost the way to a peer.
    PeerGone(ListenerId, Peer),
    /// A deadline has come.
    Tick,
}

/// What a shard asks for.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// From where.
        listener: ListenerId,
        /// Whereto.
        peer: Peer,
        /// The CoAP message.
        bytes: Vec<u8>,
        /// Only when this batch is durable; never, if it fails.
        after: Option<PersistId>,
    },
    /// Commit a batch, in the order of the outputs.
    Persist(PersistId, Batch),
    /// Something happened.
    Event(Event),
}

/// The bucket of an endpoint: FNV-1a folded to a byte, the same in every process and release,
/// since locations and tokens carry it. The shard is `bucket % shards`.
pub fn bucket(endpoint: &str) -> u8 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in endpoint.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash.to_le_bytes().iter().fold(0, |a, b| a ^ b)
}
