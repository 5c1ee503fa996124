//! What the servers of one listener have in common. Each is on a thread of its own; what is promised
//! of a listener they keep together.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tinsmith_peer::Identity;
use zeroize::Zeroizing;

use crate::cid;
use crate::config::Config;

/// What the servers of one listener have in common: how many handshakes there are and how many
/// associations, which association an identity of one device has, and the secret of cookies. So a cookie
/// is right at any of them, whichever a datagram comes to.
pub struct Siblings {
    seed: Zeroizing<[u8; 32]>,
    handshakes: Mutex<Sources>,
    /// How many associations each has.
    associations: Box<[AtomicUsize]>,
    ones: Mutex<HashMap<Arc<Identity>, u32>>,
    strays: RwLock<HashMap<SocketAddr, u32>>,
    /// How many strays there are, so that nobody has to wait to learn that there are none.
    stray: AtomicUsize,
}

#[derive(Default)]
struct Sources {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A handshake's part of what there may be; given back when it is dropped.
pub(crate) struct Place {
    siblings: Arc<Siblings>,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = lock(&self.siblings.handshakes);
        sources.all -= 1;
        if let Some(count) = sources.each.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                sources.each.remove(&self.source);
            }
        }
    }
}

/// Who takes a datagram.
pub(crate) enum Whose {
    /// This server.
    Ours,
    /// Another.
    Theirs(usize),
    /// Both: a handshake is under way here, and an association of another server has the address.
    Both(usize),
}

/// The IPv4 address, or the /64 of an IPv6 address: what one attacker has.
fn source(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Siblings {
    /// Of so many servers, at least one and at most 256. `seed` are random bytes for these only.
    #[must_use]
    pub fn new(servers: usize, seed: [u8; 32]) -> Arc<Self> {
        let servers = servers.clamp(1, 1 + usize::from(u8::MAX));
        Arc::new(Self {
            seed: Zeroizing::new(seed),
            handshakes: Mutex::default(),
            associations: (0..servers).map(|_| AtomicUsize::new(0)).collect(),
            ones: Mutex::default(),
            strays: RwLock::default(),
            stray: AtomicUsize::new(0),
        })
    }

    /// How many servers.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.associations.len()
    }

    /// The server whose an association is, by its number. Whoever gave the number out, it may be that
    /// there are fewer servers now.
    #[must_use]
    pub fn owner(&self, number: u32) -> usize {
        usize::from(cid::worker_of(number)) % self.servers()
    }

    pub(crate) fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// Room for one more handshake with an address; none if there are too many.
    pub(crate) fn place(self: &Arc<Self>, of: SocketAddr, config: &Config) -> Option<Place> {
        let source = source(of);
        let mut sources = lock(&self.handshakes);
        let its = sources.each.get(&source).copied().unwrap_or(0);
        if sources.all >= config.handshakes || its >= config.handshakes_per_source {
            return None;
        }
        sources.all += 1;
        sources.each.insert(source, its + 1);
        Some(Place {
            siblings: Arc::clone(self),
            source,
        })
    }

    pub(crate) fn set_associations(&self, server: usize, count: usize) {
        if let Some(place) = self.associations.get(server) {
            place.store(count, Ordering::Relaxed);
        }
    }

    /// How many associations there are at all servers, and the one that has most of them; that is this
    /// one if no other has more.
    pub(crate) fn fullest(&self, this: usize) -> (usize, usize) {
        let counts = self.associations.iter().map(|n| n.load(Ordering::Relaxed));
        let counts: Vec<usize> = counts.collect();
        let most = (0..counts.len()).max_by_key(|server| (counts[*server], *server == this));
        (counts.iter().sum(), most.unwrap_or(this))
    }

    /// From now on an identity of one device has this association; the one that it had.
    pub(crate) fn one(&self, identity: &Arc<Identity>, number: u32) -> Option<u32> {
        lock(&self.ones).insert(Arc::clone(identity), number)
    }

    /// The association of an identity of one device.
    pub(crate) fn of_one(&self, identity: &Identity) -> Option<u32> {
        lock(&self.ones).get(identity).copied()
    }

    /// An association of an identity of one device has ended.
    pub(crate) fn one_ended(&self, identity: &Arc<Identity>, number: u32) {
        let mut ones = lock(&self.ones);
        if ones.get(identity) == Some(&number) {
            ones.remove(identity);
        }
    }

    /// An association without a Connection ID goes on that another process has begun: datagrams from
    /// its address may come to any server. The one that was known by this address.
    pub(crate) fn strays(&self, address: SocketAddr, number: u32) -> Option<u32> {
        let mut strays = self.strays.write().unwrap_or_else(PoisonError::into_inner);
        let before = strays.insert(address, number);
        self.stray.store(strays.len(), Ordering::Release);
        before
    }

    /// The association of that sort at an address.
    pub(crate) fn stray(&self, address: SocketAddr) -> Option<u32> {
        if self.stray.load(Ordering::Acquire) == 0 {
            return None;
        }
        let strays = self.strays.read().unwrap_or_else(PoisonError::into_inner);
        strays.get(&address).copied()
    }

    /// An association without a Connection ID has ended.
    pub(crate) fn stray_ended(&self, address: SocketAddr, number: u32) {
        if self.stray(address) == Some(number) {
            let mut strays = self.strays.write().unwrap_or_else(PoisonError::into_inner);
            strays.remove(&address);
            self.stray.store(strays.len(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_an_association() {
        let of = |servers| Siblings::new(servers, [1; 32]);
        let number = |worker| cid::number(worker, 77);
        assert_eq!(of(3).owner(number(2)), 2);
        // There were more.
        assert_eq!(of(3).owner(number(3)), 0);
        assert_eq!(of(1).owner(number(255)), 0);
        assert_eq!((of(0).servers(), of(1000).servers()), (1, 256));
    }

    #[test]
    fn places_are_given_back() {
        let siblings = Siblings::new(2, [1; 32]);
        let config = Config {
            handshakes: 3,
            handshakes_per_source: 2,
            ..Config::default()
        };
        let place = |n: u8, port| siblings.place(([10, 0, 0, n], port).into(), &config);
        let first = place(1, 1).unwrap();
        let second = place(1, 2).unwrap();
        assert!(place(1, 3).is_none(), "too many of one source");
        let third = place(2, 1).unwrap();
        assert!(place(3, 1).is_none(), "too many");
        drop((first, second));
        let again = place(1, 3).unwrap();
        drop((third, again));
        let sources = lock(&siblings.handshakes);
        assert_eq!((sources.all, sources.each.len()), (0, 0));
    }

    #[test]
    fn who_has_most_makes_room() {
        let siblings = Siblings::new(3, [1; 32]);
        for (server, count) in [(0, 5), (1, 7), (2, 7)] {
            siblings.set_associations(server, count);
        }
        assert_eq!(siblings.fullest(1), (19, 1));
        assert_eq!(siblings.fullest(2), (19, 2));
        assert_ne!(siblings.fullest(0).1, 0);
    }
}
