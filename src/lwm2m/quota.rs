//! Who has proved nothing yet: bounded in all and for each source; who was idle longest goes first.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::hash::HashMap;

/// What one sender can have many addresses of: an IPv4 address with its ports, an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(Ipv4Addr),
    V6([u8; 8]),
}

impl Network {
    fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Network::V4(ip),
            IpAddr::V6(ip) => {
                let mut prefix = [0; 8];
                prefix.copy_from_slice(&ip.octets()[..8]);
                Network::V6(prefix)
            }
        }
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) all: usize,
    /// Of one source.
    pub(super) each: usize,
    /// Senders on this machine are not counted.
    pub(super) exempt_loopback: bool,
}

/// Some of whom there are many, in the order in which they were last heard.
pub(super) struct Quota<K> {
    bounds: Bounds,
    places: HashMap<K, (u64, Network)>,
    order: BTreeMap<u64, K>,
    sources: HashMap<Network, BTreeMap<u64, K>>,
    turn: u64,
}

impl<K: Clone + Eq + Hash> Quota<K> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Quota {
            bounds,
            places: HashMap::default(),
            order: BTreeMap::new(),
            sources: HashMap::default(),
            turn: 0,
        }
    }

    /// Counts one that comes from an address. Returns who must go for it: the one of the same
    /// source that was idle longest if it has too many, else that of all. It is not counted any
    /// more.
    pub(super) fn enter(&mut self, key: &K, address: SocketAddr) -> Option<K> {
        self.leave(key);
        if self.bounds.exempt_loopback && address.ip().to_canonical().is_loopback() {
            return None;
        }
        let network = Network::of(address);
        self.put(key, network);
        let source = self.sources.get(&network)?;
        let oldest = if source.len() > self.bounds.each {
            source.first_key_value()
        } else if self.order.len() > self.bounds.all {
            self.order.first_key_value()
        } else {
            None
        };
        let (_, oldest) = oldest?;
        let oldest = oldest.clone();
        self.leave(&oldest);
        Some(oldest)
    }

    /// One that is counted was heard.
    pub(super) fn touch(&mut self, key: &K) {
        if let Some((_, network)) = self.places.get(key).copied() {
            self.leave(key);
            self.put(key, network);
        }
    }

    /// One is not counted any more.
    pub(super) fn leave(&mut self, key: &K) {
        let Some((turn, network)) = self.places.remove(key) else {
            return;
        };
        self.order.remove(&turn);
        if let Some(source) = self.sources.get_mut(&network) {
            source.remove(&turn);
            if source.is_empty() {
                self.sources.remove(&network);
            }
        }
    }

    /// Who was idle longest.
    pub(super) fn oldest(&self) -> Option<&K> {
        self.order.values().next()
    }

    /// Who was idle longest, of all and of the source, if half of what may be there is there.
    pub(super) fn pressed(&self, address: SocketAddr) -> impl Iterator<Item = K> + use<K> {
        let source = self.sources.get(&Network::of(address));
        let of_source = source.filter(|source| source.len() > self.bounds.each / 2);
        let of_source = of_source.and_then(|source| source.values().next());
        let is_full = self.order.len() > self.bounds.all / 2;
        let of_all = self.oldest().filter(|_| is_full);
        [of_source.cloned(), of_all.cloned()].into_iter().flatten()
    }

    fn put(&mut self, key: &K, network: Network) {
        self.turn += 1;
        self.places.insert(key.clone(), (self.turn, network));
        self.order.insert(self.turn, key.clone());
        let source = self.sources.entry(network).or_default();
        source.insert(self.turn, key.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(all: usize, each: usize) -> Quota<u32> {
        Quota::new(Bounds {
            all,
            each,
            exempt_loopback: true,
        })
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_idle_of_the_same_source_goes_first() {
        let mut quota = quota(5, 2);
        let (one, two) = (at("192.0.2.1:1"), at("192.0.2.2:1"));
        assert_eq!(quota.enter(&1, two), None);
        assert_eq!(quota.enter(&2, one), None);
        assert_eq!(quota.enter(&3, at("192.0.2.1:77")), None);
        quota.touch(&2);
        assert_eq!(quota.enter(&4, one), Some(3));
        assert_eq!(quota.enter(&5, at("[::ffff:192.0.2.1]:1")), Some(2));
        quota.leave(&4);
        assert_eq!(quota.enter(&6, one), None);
        assert_eq!(quota.oldest(), Some(&1));
    }

    #[test]
    fn the_longest_idle_of_all_goes_when_there_are_too_many() {
        let mut quota = quota(3, 2);
        for n in 0..3 {
            let from = at(&format!("[2001:db8:0:{n}::1]:5683"));
            assert_eq!(quota.enter(&n, from), None);
        }
        quota.touch(&0);
        assert_eq!(quota.enter(&3, at("[2001:db8:0:3::1]:1")), Some(1));
        // One /64, whatever the rest.
        assert_eq!(quota.enter(&4, at("[2001:db8:0:3::2]:1")), Some(2));
        assert_eq!(quota.enter(&5, at("[2001:db8:0:3:ffff::3]:1")), Some(3));
        for key in 0..6 {
            quota.leave(&key);
        }
        assert!(quota.sources.is_empty() && quota.order.is_empty());
    }

    #[test]
    fn who_is_asked_when_there_are_many() {
        let mut quota = quota(100, 4);
        let from = at("192.0.2.1:1");
        for n in 0..2 {
            quota.enter(&n, from);
        }
        assert_eq!(quota.pressed(from).next(), None);
        quota.enter(&2, from);
        assert_eq!(quota.pressed(from).collect::<Vec<_>>(), [0]);
        for n in 10..60 {
            quota.enter(&n, at(&format!("198.51.100.{n}:1")));
        }
        assert_eq!(quota.pressed(at("192.0.2.9:1")).collect::<Vec<_>>(), [0]);
        assert_eq!(quota.enter(&99, at("127.0.0.1:1")), None);
        assert_eq!(quota.places.len(), 53);
    }
}
