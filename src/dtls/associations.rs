//! The associations after their handshakes, and the ways to find them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::Arc;

use tinsmith_dtls::Association;
use tinsmith_peer::{Identity, Peer};

use crate::cid;
use crate::proven::By;
use crate::siblings::Siblings;

/// How many are looked at for one that may go.
const SAMPLE: usize = 16;
/// How much data of one waits until there are numbers for it.
const WAITING: usize = 8;
const COUNTERS: u32 = 1 << 24;

/// One of them.
pub(crate) struct Entry {
    pub(crate) association: Association,
    /// Where its peer was heard last.
    pub(crate) address: SocketAddr,
    pub(crate) identity: Arc<Identity>,
    /// Its identity has one association.
    pub(crate) is_of_one: bool,
    pub(crate) by: By,
    /// When (ms).
    pub(crate) heard: u64,
    /// Numbers are reserved up to here when what was given out is durable.
    pub(crate) asked: Option<NonZeroU64>,
}

impl Entry {
    pub(crate) fn peer(&self, number: u32) -> Peer {
        Peer {
            address: self.address,
            association: number,
        }
    }
}

pub(crate) struct Associations {
    siblings: Arc<Siblings>,
    /// Which of the siblings has them.
    server: usize,
    entries: BTreeMap<u32, Box<Entry>>,
    /// Those whose records have no Connection ID.
    by_address: HashMap<SocketAddr, u32>,
    /// Data of a few of them for which there was no number.
    waiting: HashMap<u32, Vec<Vec<u8>>>,
    counter: u32,
    /// Where the next sample begins.
    cursor: u32,
}

impl Associations {
    /// None yet, of one of the siblings.
    pub(crate) fn new(siblings: Arc<Siblings>, server: usize) -> Self {
        Self {
            siblings,
            server,
            entries: BTreeMap::new(),
            by_address: HashMap::new(),
            waiting: HashMap::new(),
            counter: 0,
            cursor: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Entry> {
        self.entries.get(&number).map(|entry| &**entry)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(&number).map(|entry| &mut **entry)
    }

    /// The one that datagrams from this address without a Connection ID belong to.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// The one that a Connection ID names.
    pub(crate) fn named(&self, name: &[u8]) -> Option<u32> {
        let number = cid::number_of(name)?;
        let entry = self.entries.get(&number)?;
        (entry.association.own_cid().as_bytes() == name).then_some(number)
    }

    pub(crate) fn of(&self, identity: &Identity) -> Vec<u32> {
        let all = self.entries.iter();
        let its = all.filter(|(_, entry)| *entry.identity == *identity);
        its.map(|(number, _)| *number).collect()
    }

    /// Those without a PSK identity.
    pub(crate) fn others(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let all = self.entries.iter();
        let others = all.filter(|(_, entry)| !matches!(*entry.identity, Identity::Psk(_)));
        others.map(|(number, entry)| (*number, &**entry))
    }

    /// A number that none has.
    pub(crate) fn free_number(&mut self, worker: u8) -> Option<u32> {
        (0..COUNTERS).find_map(|_| {
            self.counter = (self.counter + 1) % COUNTERS;
            let number = cid::number(worker, self.counter);
            // 0 is no association.
            (number != 0 && !self.entries.contains_key(&number)).then_some(number)
        })
    }

    /// The number must be free, and so must its address if it has no Connection ID.
    pub(crate) fn insert(&mut self, number: u32, entry: Entry) {
        if entry.association.own_cid().is_empty() {
            self.by_address.insert(entry.address, number);
        }
        self.counter = self.counter.max(number % COUNTERS);
        self.entries.insert(number, Box::new(entry));
        self.count();
    }

    fn count(&self) {
        self.siblings
            .set_associations(self.server, self.entries.len());
    }

    /// Keeps data until there is a number for it; false if there is too much already.
    pub(crate) fn wait(&mut self, number: u32, data: &[u8]) -> bool {
        let waiting = self.waiting.entry(number).or_default();
        let is_room = waiting.len() < WAITING;
        if is_room {
            waiting.push(data.to_vec());
        }
        is_room
    }

    /// What waits for a number, and does so no more.
    pub(crate) fn waited(&mut self, number: u32) -> Vec<Vec<u8>> {
        self.waiting.remove(&number).unwrap_or_default()
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.waiting.remove(&number);
        self.count();
        if self.by_address.get(&entry.address) == Some(&number) {
            self.by_address.remove(&entry.address);
            self.siblings.stray_ended(entry.address, number);
        }
        if entry.is_of_one {
            self.siblings.one_ended(&entry.identity, number);
        }
        Some(*entry)
    }

    /// Of the next few, the one that was not heard for the longest time.
    pub(crate) fn stale(&mut self) -> Option<u32> {
        let after = (Bound::Excluded(self.cursor), Bound::Unbounded);
        let turn = self.entries.range(after).chain(&self.entries);
        let sample = turn.take(SAMPLE.min(self.entries.len()));
        let mut last = self.cursor;
        let stale = sample
            .inspect(|(number, _)| last = **number)
            .min_by_key(|(_, entry)| entry.heard);
        let stale = stale.map(|(number, _)| *number);
        self.cursor = last;
        stale
    }
}
