//! Protection of a shard's messages, and what waits for it.

use std::net::SocketAddr;

use super::hash::HashMap;
use super::security::MessageSecurity;
use super::{Identity, ListenerId, Peer};

/// Messages of one identity that wait until its numbers are stored; one more is lost.
const HELD: usize = 4;

/// A message that waits.
pub(super) enum Held {
    /// To be opened.
    In {
        listener: ListenerId,
        peer: Peer,
        management: Option<SocketAddr>,
        bytes: Vec<u8>,
    },
    /// To be sealed.
    Out {
        listener: ListenerId,
        peer: Peer,
        bytes: Vec<u8>,
    },
}

/// Protection, and what waits for it.
#[derive(Default)]
pub(super) struct Protection {
    pub(super) security: Option<Box<dyn MessageSecurity>>,
    pub(super) held: HashMap<Identity, Vec<Held>>,
}

impl Protection {
    pub(super) fn hold(&mut self, identity: &Identity, message: Held) {
        let held = self.held.entry(identity.clone()).or_default();
        if held.len() < HELD {
            held.push(message);
        }
    }
}
