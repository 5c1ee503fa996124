//! A server beside others of the same listener: what comes here and is theirs, and what one has to
//! have another do.

use std::net::SocketAddr;
use std::sync::Arc;

use tinsmith_dtls::connection_id;
use tinsmith_peer::Identity;

use crate::cid::{self, CID_LEN};
use crate::config::{Ask, Output};
use crate::server::Server;
use crate::siblings::Whose;

impl Server {
    /// Takes a datagram that came to another server of the listener.
    pub fn handed_over(&mut self, now: u64, from: SocketAddr, datagram: &mut [u8]) {
        self.take(now, from, datagram);
    }

    /// A datagram for another server was lost, as that has too much to do.
    pub fn not_handed_over(&mut self) {
        self.counters.not_handed_over += 1;
    }

    /// Does what another server of the listener asks for.
    pub fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::End(number) => self.remove(number),
            Ask::Evict => self.evict(),
        }
    }

    /// Whose a datagram is that is no ClientHello.
    pub(crate) fn whose(&self, from: SocketAddr, datagram: &[u8]) -> Whose {
        let servers = self.siblings.servers();
        if servers == 1 {
            return Whose::Ours;
        }
        if connection_id(datagram, CID_LEN).is_some() {
            let named = cid::worker(datagram).map(|worker| usize::from(worker) % servers);
            return match named {
                Some(other) if other != self.index() => Whose::Theirs(other),
                _ => Whose::Ours,
            };
        }
        let is_encrypted = datagram.get(3..5).is_some_and(|epoch| epoch != [0, 0]);
        let stray = is_encrypted.then(|| self.siblings.stray(from)).flatten();
        let Some(number) = stray.filter(|_| self.associations.at(from).is_none()) else {
            return Whose::Ours;
        };
        match self.siblings.owner(number) {
            other if other == self.index() => Whose::Ours,
            other if self.handshakes.get(from).is_some() => Whose::Both(other),
            other => Whose::Theirs(other),
        }
    }

    pub(crate) fn hand_over(&mut self, to: usize, from: SocketAddr, datagram: &[u8]) {
        self.outputs.push_back(Output::HandOver {
            to,
            from,
            datagram: datagram.to_vec(),
        });
    }

    /// An identity of one device has this association from now on; one that it had ends.
    pub(crate) fn only(&mut self, identity: &Arc<Identity>, number: u32) {
        let before = self.siblings.one(identity, number);
        if let Some(old) = before.filter(|old| *old != number) {
            self.replaced(old);
        }
    }

    /// An association ends that another has taken the place of, whosever it is.
    pub(crate) fn replaced(&mut self, number: u32) {
        let owner = self.siblings.owner(number);
        if owner == self.index() {
            return self.remove(number);
        }
        // Before the new one is kept, as here.
        if self.config.reserve.is_some() {
            self.outputs.push_back(Output::Forget(number));
        }
        self.outputs.push_back(Output::Ask(owner, Ask::End(number)));
    }

    /// Makes room for one more association, here or where there are most.
    pub(crate) fn make_room(&mut self) {
        let (all, fullest) = self.siblings.fullest(self.index());
        if all < self.config.associations.max(1) {
            return;
        }
        if fullest == self.index() {
            self.evict();
        } else {
            self.outputs.push_back(Output::Ask(fullest, Ask::Evict));
        }
    }

    fn evict(&mut self) {
        if let Some(stale) = self.associations.stale() {
            self.counters.evicted += 1;
            self.remove(stale);
        }
    }

    fn index(&self) -> usize {
        usize::from(self.config.worker)
    }
}
