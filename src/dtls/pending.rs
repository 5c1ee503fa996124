//! Handshakes in progress, their limits and their deadlines.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use crate::cid;
use crate::handshake::Handshake;
use crate::proven::Proven;
use crate::siblings::Place;

/// One of them.
pub(crate) struct Pending {
    pub(crate) handshake: Handshake,
    /// When it must have ended (ms).
    pub(crate) ends: u64,
    /// Its earliest entry among the deadlines.
    armed: u64,
    /// Held for the limits.
    _place: Place,
}

#[derive(Default)]
pub(crate) struct Handshakes {
    all: HashMap<SocketAddr, Pending>,
    /// By the number in the Connection ID.
    names: HashMap<u32, SocketAddr>,
    /// May name some that are gone, or due later than it says.
    deadlines: BinaryHeap<Reverse<(u64, SocketAddr)>>,
}

impl Handshakes {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, address: SocketAddr) -> Option<&Handshake> {
        self.all.get(&address).map(|pending| &pending.handshake)
    }

    /// Where the one began that a Connection ID names.
    pub(crate) fn named(&self, name: &[u8]) -> Option<SocketAddr> {
        let address = *self.names.get(&cid::number_of(name)?)?;
        let own = self.get(address)?.own_cid();
        (own.as_bytes() == name).then_some(address)
    }

    /// What the clients of those have proved, or said and not proved yet.
    pub(crate) fn proven(&self) -> Vec<(SocketAddr, Proven)> {
        let all = self.all.iter();
        let proven = all.map(|(address, pending)| Some((*address, pending.handshake.proven()?)));
        proven.flatten().collect()
    }

    pub(crate) fn get_mut(&mut self, address: SocketAddr) -> Option<&mut Pending> {
        self.all.get_mut(&address)
    }

    /// None may be there.
    pub(crate) fn insert(
        &mut self,
        address: SocketAddr,
        handshake: Handshake,
        ends: u64,
        place: Place,
    ) {
        if let Some(number) = cid::number_of(handshake.own_cid().as_bytes()) {
            self.names.insert(number, address);
        }
        let armed = u64::MAX;
        let pending = Pending {
            handshake,
            ends,
            armed,
            _place: place,
        };
        self.all.insert(address, pending);
    }

    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<Handshake> {
        let pending = self.all.remove(&address)?;
        if let Some(number) = cid::number_of(pending.handshake.own_cid().as_bytes()) {
            self.names.remove(&number);
        }
        Some(pending.handshake)
    }

    /// Sees to it that it is due in time.
    pub(crate) fn arm(&mut self, now: u64, address: SocketAddr) {
        let Some(pending) = self.all.get_mut(&address) else {
            return;
        };
        let wait = pending.handshake.timeout().map(|wait| {
            // Never in the same millisecond again.
            u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        let at = wait.map_or(pending.ends, |wait| now.saturating_add(wait));
        let at = at.min(pending.ends);
        if at < pending.armed {
            pending.armed = at;
            self.deadlines.push(Reverse((at, address)));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// The next one that may be due.
    pub(crate) fn due(&mut self, now: u64) -> Option<SocketAddr> {
        loop {
            let Reverse((at, address)) = *self.deadlines.peek()?;
            if at > now {
                return None;
            }
            self.deadlines.pop();
            if let Some(pending) = self.all.get_mut(&address)
                && pending.armed == at
            {
                pending.armed = u64::MAX;
                return Some(address);
            }
        }
    }
}
