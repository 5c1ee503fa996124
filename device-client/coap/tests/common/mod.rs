//! Two endpoints and a bad network between them, in virtual time.

#![allow(unreachable_pub)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use tinsmith_coap::{
    Endpoint, FixedBuffer, Instant, Numbering, Output, Parameters, Received, Sent,
};

pub type Peer = Endpoint<FixedBuffer<1200>, FixedBuffer<64>, 2, 16>;

/// What the network does to datagrams.
#[derive(Clone)]
pub struct Weather {
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    /// One-way delay in milliseconds; a wide range reorders.
    pub delay_ms: RangeInclusive<u64>,
}

pub const FAIR: Weather = Weather {
    loss_percent: 0,
    duplicate_percent: 0,
    delay_ms: 20..=20,
};
pub const STORM: Weather = Weather {
    loss_percent: 30,
    duplicate_percent: 20,
    delay_ms: 5..=400,
};

/// splitmix64
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What an application sees of its side.
pub struct Side<'a> {
    pub now: Instant,
    pub peer: &'a mut Peer,
    sent: &'a mut Vec<Vec<u8>>,
    buf: &'a mut [u8],
}

impl Side<'_> {
    /// Lets `make` write a datagram, and sends it.
    pub fn send<E>(
        &mut self,
        make: impl FnOnce(&mut Peer, Instant, &mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let len = make(self.peer, self.now, self.buf)?;
        self.sent.push(self.buf[..len].to_vec());
        Ok(())
    }
}

pub trait App {
    fn received(&mut self, side: &mut Side<'_>, received: Received<'_>);
    fn timed_out(&mut self, side: &mut Side<'_>, sent: Sent);
    /// Called after everything else; answers when it wants to be called again.
    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant>;
    fn is_done(&self) -> bool;
}

/// Arrival, order of sending, receiver, datagram.
type InTransit = (Instant, u64, usize, Vec<u8>);

pub struct Pair {
    pub now: Instant,
    pub datagrams: u64,
    peers: [Peer; 2],
    queue: BinaryHeap<Reverse<InTransit>>,
    rng: Rng,
    weather: Weather,
}

impl Pair {
    pub fn new(weather: Weather, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut peer = || Peer::new(Parameters::RFC7252, Numbering::ALL, rng.next() as u32);
        let peers = [peer(), peer()];
        let queue = BinaryHeap::new();
        Self {
            now: Instant::ZERO,
            datagrams: 0,
            peers,
            queue,
            rng,
            weather,
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) {
        let copies = 1 + usize::from(self.rng.percent(self.weather.duplicate_percent));
        for _ in 0..copies {
            self.datagrams += 1;
            if self.rng.percent(self.weather.loss_percent) {
                continue;
            }
            let (from, until) = self.weather.delay_ms.clone().into_inner();
            let delay = from + self.rng.next() % (until - from + 1);
            let at = self.now.plus_millis(delay);
            self.queue
                .push(Reverse((at, self.datagrams, to, datagram.to_vec())));
        }
    }

    fn receive(&mut self, to: usize, app: &mut dyn App, datagram: &[u8]) {
        let (mut sent, mut buf) = (Vec::new(), vec![0; 1200]);
        let peer = &mut self.peers[to];
        let received = peer.handle(self.now, datagram);
        app.received(
            &mut Side {
                now: self.now,
                peer,
                sent: &mut sent,
                buf: &mut buf,
            },
            received,
        );
        sent.into_iter()
            .for_each(|datagram| self.deliver(1 - to, &datagram));
    }

    fn poll(&mut self, index: usize, app: &mut dyn App) {
        let (now, mut sent, mut buf) = (self.now, Vec::new(), vec![0; 1200]);
        let peer = &mut self.peers[index];
        while let Some(output) = peer.poll(now, &mut buf) {
            match output {
                Output::Transmit(len) => sent.push(buf[..len].to_vec()),
                Output::TimedOut(of) => {
                    app.timed_out(
                        &mut Side {
                            now,
                            peer,
                            sent: &mut sent,
                            buf: &mut buf,
                        },
                        of,
                    );
                }
            }
        }
        sent.into_iter()
            .for_each(|datagram| self.deliver(1 - index, &datagram));
    }

    fn turn(&mut self, index: usize, app: &mut dyn App) -> Option<Instant> {
        let (mut sent, mut buf) = (Vec::new(), vec![0; 1200]);
        let peer = &mut self.peers[index];
        let mut side = Side {
            now: self.now,
            peer,
            sent: &mut sent,
            buf: &mut buf,
        };
        let wanted = app.turn(&mut side);
        sent.into_iter()
            .for_each(|datagram| self.deliver(1 - index, &datagram));
        wanted
    }

    /// Until both sides are done; panics after `limit_ms` of virtual time.
    pub fn run(&mut self, apps: &mut [&mut dyn App; 2], limit_ms: u64) {
        loop {
            while let Some(Reverse((at, order, to, datagram))) = self.queue.pop() {
                if at > self.now {
                    self.queue.push(Reverse((at, order, to, datagram)));
                    break;
                }
                self.receive(to, apps[to], &datagram);
                self.poll(to, apps[to]);
            }
            let mut next = None;
            for (index, app) in apps.iter_mut().enumerate() {
                self.poll(index, *app);
                let wanted = self.turn(index, *app);
                let deadline = self.peers[index].next_deadline();
                next = [next, wanted, deadline].into_iter().flatten().min();
            }
            if apps.iter().all(|app| app.is_done()) {
                return;
            }
            let queued = self.queue.peek().map(|Reverse((at, ..))| *at);
            let next = [next, queued].into_iter().flatten().min();
            self.now = self.now.max(next.expect("nothing will ever happen again"));
            assert!(self.now.as_millis() < limit_ms, "took too long");
        }
    }
}
