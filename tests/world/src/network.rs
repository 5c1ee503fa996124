//! Datagrams on their way, and what happens to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::chance::Chance;

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Of 100 datagrams so many are lost.
    pub lost: u8,
    /// Of 100 datagrams so many arrive twice.
    pub doubled: u8,
    /// Longest time on the way in milliseconds; the shortest is 1. Datagrams overtake each other.
    pub slowest: u64,
}

impl Weather {
    /// Nothing is lost, all arrive in order.
    pub const FAIR: Weather = Weather {
        lost: 0,
        doubled: 0,
        slowest: 1,
    };
}

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source, as the receiver sees it.
    pub from: SocketAddr,
    /// Destination.
    pub to: SocketAddr,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Everything that is under way.
#[derive(Debug)]
pub struct Network {
    /// May be changed at any time.
    pub weather: Weather,
    chance: Chance,
    /// By time of arrival, then by number.
    flying: BTreeMap<(u64, u64), Datagram>,
    number: u64,
}

impl Network {
    /// An empty one.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self {
            weather,
            chance: Chance::new(seed),
            flying: BTreeMap::new(),
            number: 0,
        }
    }

    /// Takes a datagram.
    pub fn send(&mut self, now: u64, datagram: Datagram) {
        if self.chance.percent(self.weather.lost) {
            return;
        }
        if self.chance.percent(self.weather.doubled) {
            self.fly(now, datagram.clone());
        }
        self.fly(now, datagram);
    }

    fn fly(&mut self, now: u64, datagram: Datagram) {
        let at = now + self.chance.between(1, self.weather.slowest);
        self.number += 1;
        self.flying.insert((at, self.number), datagram);
    }

    /// When the next one arrives.
    pub fn next(&self) -> Option<u64> {
        self.flying.keys().next().map(|(at, _)| *at)
    }

    /// One that has arrived.
    pub fn arrived(&mut self, now: u64) -> Option<Datagram> {
        let first = self.flying.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
