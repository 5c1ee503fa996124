//! The server's LwM2M logic without sockets or clocks.
//!
//! A [`Shard`] owns the devices whose endpoint names hash to it. [`Shard::handle`] takes one
//! [`Input`]; after each, [`Shard::poll`] is drained; [`Shard::next_deadline`] says when
//! [`Input::Tick`] is due. Nothing that promises something is sent before its batch is durable:
//! the answer is made only when [`Input::Persisted`] comes.

mod access;
mod away;
mod body;
mod bootstrap;
mod commands;
mod commits;
mod config;
mod content;
mod contexts;
mod device;
mod ends;
mod entry;
mod exchange;
mod gone;
pub mod hash;
mod inbound;
mod job;
mod kinds;
mod link;
mod long;
mod models;
mod observation;
mod oscore;
mod peer;
mod proof;
mod protection;
mod quota;
mod random;
mod register;
mod registration;
mod registry;
mod request_record;
mod route;
mod rule;
mod secured;
mod security;
mod shard;
mod shared;
mod stored;
mod strangers;
mod target;
pub mod types;
mod unreadable;
mod update;
mod uploads;

pub use access::{Access, Issued, IssuedOscore};
pub use body::Body;
pub use config::{Limits, ShardConfig};
pub use contexts::{OscoreContext, OscoreContexts, OscoreStart, oscore_kid};
pub use long::refuse_long;
pub use models::{ModelSource, Models};
pub use peer::{Certified, Identity, ListenerId, Peer, Role};
pub use registration::RegisterError;
pub use request_record::{request_key, request_of};
pub use route::{bucket, owner, route};
pub use rule::{BootstrapConfig, Rule, TrustAnchors, name_fits};
pub use shard::Shard;
pub use target::{PathValue, Target};
pub use types::*;

use std::net::SocketAddr;

use tinsmith_store::{Batch, Op, StoreError, Version};

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
        /// The management listener as this sender can reach it: what it is told by a bootstrap
        /// rule without server URI. Only needed for requests to a listener of the role Bootstrap.
        management: Option<SocketAddr>,
        /// The CoAP message.
        bytes: &'a [u8],
    },
    /// Ask a device.
    Command(DeviceRequest),
    /// The same of a durable one, which waits also for a device that is not registered.
    Later(DeviceRequest),
    /// Forget a request; it ends with [`Outcome::Cancelled`].
    Withdraw(RequestId),
    /// A device is deleted: its registration and what waits for it end.
    Delete(Endpoint),
    /// What this identity came in by was taken away: nothing of it is good any more.
    Revoked(Identity),
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
        /// Who must be there.
        identity: Identity,
        /// The CoAP message.
        bytes: Vec<u8>,
    },
    /// Commit a batch, in the order of the outputs.
    Persist(PersistId, Batch),
    /// A registration of this peer was answered: what it sends without a name or a location is
    /// for this shard.
    Learned(ListenerId, Peer),
    /// Something happened.
    Event(Event),
}

#[cfg(test)]
mod tests;
