//! A client, a server and a bad network between them, in virtual time.
#![allow(dead_code, unreachable_pub)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tinsmith_dtls::{
    Client, ContentType, Credentials, HandshakeError, Name, Offer, Output, Received, SoftAes,
    Trust, Usage, records,
};

use super::random::Random;
use super::server::{Manner, Server};

/// What happens to a datagram, in percent; a flip changes one bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub loss: u64,
    pub duplicate: u64,
    pub flip: u64,
    pub cut: u64,
    /// Longest delay in milliseconds; different ones reorder.
    pub delay_ms: u64,
}

/// When it arrives, a number to keep the order, whether at the server, the bytes.
type UnderWay = (u64, u64, bool, Vec<u8>);

/// What a client with a key pair has.
#[derive(Clone)]
pub struct Own {
    pub public: Vec<u8>,
    pub private: Vec<u8>,
    pub server: Vec<u8>,
    /// Both are certificates, and the server's says this.
    pub usage: Option<Usage>,
}

impl Own {
    pub fn credentials(&self) -> Credentials<'_> {
        if let Some(usage) = self.usage {
            return Credentials::Certificates {
                own: &self.public,
                private: &self.private,
                server: Trust {
                    usage,
                    certificate: &self.server,
                    authorities: &[],
                    name: Name::Dns("server.example"),
                    now: None,
                },
            };
        }
        Credentials::RawKeys {
            public: &self.public,
            private: &self.private,
            server: &self.server,
        }
    }
}

pub struct Link {
    pub now: u64,
    pub client: Client,
    pub server: Server,
    pub offer: Offer,
    pub identity: Vec<u8>,
    pub key: Vec<u8>,
    /// Key pairs instead of identity and key.
    pub own: Option<Own>,
    pub weather: Weather,
    pub failed: Option<HandshakeError>,
    pub closed: Option<tinsmith_dtls::Alert>,
    pub received: Vec<Vec<u8>>,
    /// Datagrams that the client has sent.
    pub sent: usize,
    /// Somebody between: changes what goes to the server (true) or comes from it.
    pub between: fn(bool, &mut Vec<u8>),
    random: Random,
    order: u64,
    under_way: BinaryHeap<Reverse<UnderWay>>,
}

impl Link {
    pub fn new(manner: Manner, offer: Offer, weather: Weather, seed: u64) -> Self {
        Self {
            now: 1000,
            client: Client::new(),
            identity: manner.identity.clone(),
            key: manner.key.clone(),
            own: None,
            server: Server::new(manner, 0x51),
            offer,
            weather,
            failed: None,
            closed: None,
            received: Vec::new(),
            sent: 0,
            between: |_, _| {},
            random: Random::new(seed),
            order: 0,
            under_way: BinaryHeap::new(),
        }
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random.below(below)
    }

    pub fn connect(&mut self) {
        let random = std::array::from_fn(|_| self.random(256) as u8);
        self.failed = None;
        if let Some(own) = &self.own.clone() {
            let secret = std::array::from_fn(|_| self.random(256) as u8);
            let credentials = own.credentials();
            let (now, offer) = (self.now, self.offer);
            self.client
                .connect_as(now, offer, &credentials, random, secret);
        } else {
            self.client.connect(self.now, self.offer, random);
        }
        self.poll();
    }

    /// Puts a datagram on its way.
    pub fn send(&mut self, to_server: bool, datagram: &[u8]) {
        let weather = self.weather;
        let copies = match self.random(100) {
            n if n < weather.loss => 0,
            n if n < weather.loss + weather.duplicate => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let mut bytes = datagram.to_vec();
            (self.between)(to_server, &mut bytes);
            if self.random(100) < weather.flip {
                let bit = self.random(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            if self.random(100) < weather.cut {
                bytes.truncate(self.random(bytes.len() as u64) as usize);
            }
            let at = self.now + 1 + self.random(weather.delay_ms);
            self.order += 1;
            let entry = (at, self.order, to_server, bytes);
            self.under_way.push(Reverse(entry));
        }
    }

    /// What the client has to do.
    pub fn poll(&mut self) {
        let mut out = [0; 1500];
        let mut turns = 0;
        while let Some(output) = self.client.poll(self.now, &mut SoftAes::new(), &mut out) {
            match output {
                Output::Transmit(len) => {
                    self.sent += 1;
                    self.send(true, &out[..len]);
                }
                Output::Failed(error) => self.failed = Some(error),
            }
            turns += 1;
            assert!(turns < 10, "poll never ends");
        }
        let deadline = self.client.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > self.now),
            "poll left something due"
        );
    }

    pub fn deliver(&mut self, mut datagram: Vec<u8>) {
        let own = self.client.own_cid_len();
        for record in records(&mut datagram, own) {
            let credentials = match &self.own {
                Some(own) => own.credentials(),
                None => Credentials::Psk {
                    identity: &self.identity,
                    key: &self.key,
                },
            };
            let aes = &mut SoftAes::new();
            match self.client.handle(self.now, record, &credentials, aes) {
                Received::Nothing => {}
                Received::Connected => {
                    let association = self.client.association_mut().expect("connected");
                    let mark = association.reserve(1000);
                    association.confirm_reserved(mark);
                }
                Received::Data(data) => self.received.push(data.to_vec()),
                Received::Failed(error) => self.failed = Some(error),
                Received::Closed(alert) => self.closed = Some(alert),
            }
        }
        self.poll();
    }

    /// Lets the next thing happen; false if there is none.
    pub fn step(&mut self) -> bool {
        let arrives = self.under_way.peek().map(|Reverse(entry)| entry.0);
        let deadline = self.client.next_deadline();
        let Some(at) = arrives.into_iter().chain(deadline).min() else {
            return false;
        };
        self.now = self.now.max(at);
        if arrives.is_some_and(|arrives| arrives <= at) {
            let Some(Reverse((_, _, to_server, bytes))) = self.under_way.pop() else {
                return false;
            };
            if to_server {
                for answer in self.server.handle(&bytes) {
                    self.send(false, &answer);
                }
            } else {
                self.deliver(bytes);
            }
        } else {
            self.poll();
        }
        true
    }

    /// Until there is nothing left to do.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 10_000, "it never ends");
        }
    }

    /// The server forgets everything.
    pub fn restart_server(&mut self, seed: u8) {
        self.server = Server::new(self.server.manner().clone(), seed);
    }

    /// Tries until there is an association, with a server that has forgotten each time.
    pub fn open_in_the_end(&mut self, seed: u64) {
        for tries in 1..60 {
            self.connect();
            while self.failed.is_none() && !self.is_open() {
                assert!(self.step(), "seed {seed}: nothing left to do");
            }
            if self.is_open() {
                break;
            }
            self.restart_server(tries);
        }
        assert!(self.is_open(), "seed {seed}: {:?}", self.failed);
    }

    pub fn is_open(&self) -> bool {
        self.client.association().is_some()
    }

    /// Data from the client.
    pub fn say(&mut self, data: &[u8]) {
        let mut buffer = data.to_vec();
        let association = self.client.association_mut().expect("connected");
        buffer.resize(data.len() + association.overhead(), 0);
        let kind = ContentType::ApplicationData;
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut buffer, data.len());
        sealed.expect("there is room");
        self.send(true, &buffer);
    }

    /// Data from the server.
    pub fn answer(&mut self, data: &[u8]) {
        let record = self.server.seal(ContentType::ApplicationData, data);
        self.send(false, &record);
    }
}
