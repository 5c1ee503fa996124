//! Devices, one server, and a network between them that lies in memory. Time is real, since
//! OpenSSL's is, and short.
#![allow(dead_code, unreachable_pub)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tinsmith_dtls::{
    Aead, Alert, Cid, Client, ContentType, HandshakeError, Name, Offer, Output as ToSend, Received,
    SoftAes, Trust, Usage, records,
};
use tinsmith_dtls_server::{Ask, Config, Credentials, Failure, Output, Psk, Server, Siblings};
use tinsmith_peer::{Identity, Peer};
use zeroize::Zeroizing;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everybody whose name begins with `device` has a key made of it.
#[derive(Default)]
pub struct Keys {
    pub gone: Mutex<Vec<Vec<u8>>>,
    /// Digests of raw public keys.
    pub raw: Mutex<Vec<[u8; 32]>>,
    /// Who has another key, instead of the one made of the name.
    pub changed: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Keys {
    pub fn change(&self, identity: &[u8], key: &[u8]) {
        let mut changed = self.changed.lock().expect("nobody panics with it");
        changed.insert(identity.to_vec(), key.to_vec());
    }
}

pub fn key_of(identity: &[u8]) -> Vec<u8> {
    [&b"the key of "[..], identity].concat()
}

impl Credentials for Keys {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        let gone = self.gone.lock().expect("nobody panics with it");
        let known = identity.starts_with(b"device") && !gone.iter().any(|g| g == identity);
        let changed = self.changed.lock().expect("nobody panics with it");
        let key = changed.get(identity).cloned();
        known.then(|| Psk {
            key: Zeroizing::new(key.unwrap_or_else(|| key_of(identity))),
            is_of_one: !identity.starts_with(b"device of many"),
        })
    }

    fn raw_key(&self, digest: &[u8; 32]) -> Option<bool> {
        let raw = self.raw.lock().expect("nobody panics with it");
        raw.contains(digest).then_some(true)
    }

    fn certificate(&self, names: &[String], _: &[[u8; 32]]) -> Option<(Identity, bool)> {
        let device = names.iter().find(|name| name.starts_with("device"));
        device.map(|name| (Identity::Certificate(name.clone()), true))
    }
}

/// A device's key pair and what it knows of its server's, as DER.
#[derive(Clone)]
pub struct Pair {
    pub own: Vec<u8>,
    pub private: Vec<u8>,
    pub server: Vec<u8>,
    /// They are certificates, and the server's says this.
    pub usage: Option<Usage>,
}

impl Pair {
    fn credentials(&self) -> tinsmith_dtls::Credentials<'_> {
        match self.usage {
            None => tinsmith_dtls::Credentials::RawKeys {
                public: &self.own,
                private: &self.private,
                server: &self.server,
            },
            Some(usage) => tinsmith_dtls::Credentials::Certificates {
                own: &self.own,
                private: &self.private,
                server: Trust {
                    usage,
                    certificate: &self.server,
                    authorities: &[],
                    name: Name::Dns("server"),
                    now: None,
                },
            },
        }
    }
}

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

pub const CALM: Weather = Weather {
    loss: 0,
    duplicate: 0,
    flip: 0,
    cut: 0,
    delay_ms: 1,
};

pub struct Device {
    pub client: Client,
    pub address: SocketAddr,
    pub identity: Vec<u8>,
    pub key: Vec<u8>,
    pub pair: Option<Pair>,
    pub offer: Offer,
    pub received: Vec<Vec<u8>>,
    pub failed: Option<HandshakeError>,
    pub closed: Option<Alert>,
}

/// When it arrives, a number to keep the order, whether at the server, whose it is, the bytes.
type UnderWay = (u64, u64, Option<SocketAddr>, usize, Vec<u8>);

pub struct World {
    start: Instant,
    pub server: Server,
    /// Others of the same listener.
    pub others: Vec<Server>,
    pub siblings: Arc<Siblings>,
    /// To which of them datagrams of an address come, if it is not the first.
    pub kernel: BTreeMap<SocketAddr, usize>,
    /// To whom datagrams were handed over.
    pub handed_over: Vec<usize>,
    /// What servers ask of others and have not been told yet.
    pub asked: Vec<(usize, Ask)>,
    /// They are told at once.
    pub is_prompt: bool,
    pub config: Config,
    pub keys: Arc<Keys>,
    pub devices: Vec<Device>,
    pub weather: Weather,
    /// What the server received: from whom, which association, what.
    pub heard: Vec<(Peer, Vec<u8>)>,
    /// And what it knew the sender by.
    pub proved: Vec<Arc<Identity>>,
    pub gone: Vec<Peer>,
    pub failures: Vec<Failure>,
    /// What the server has had kept.
    pub store: BTreeMap<u32, Vec<u8>>,
    /// What it wants kept and was not told of yet.
    pub writing: Vec<(u32, u64, Vec<u8>)>,
    /// Writes become durable at once.
    pub is_fast: bool,
    /// Every datagram to the server: where from, and its bytes.
    pub tape: Vec<(SocketAddr, Vec<u8>)>,
    /// Every datagram of the server.
    pub answers: Vec<(SocketAddr, Vec<u8>)>,
    random: u64,
    order: u64,
    under_way: BinaryHeap<Reverse<UnderWay>>,
}

pub fn config() -> Config {
    Config {
        first_timeout: Duration::from_millis(40),
        ..Config::default()
    }
}

pub fn offer(aeads: &'static [Aead], cid: Option<Cid>) -> Offer {
    Offer {
        aeads,
        cid,
        first_timeout_ms: 60,
    }
}

pub const CCM8: &[Aead] = &[Aead::Ccm8];

pub fn address(n: usize) -> SocketAddr {
    let [_, _, a, b] = (n as u32 + 1).to_be_bytes();
    SocketAddr::from(([10, 1, a, b], 5000))
}

fn servers(
    count: usize,
    now: u64,
    config: &Config,
    keys: &Arc<Keys>,
    seed: u8,
) -> (Arc<Siblings>, Server, Vec<Server>) {
    let siblings = Siblings::new(count, [seed; 32]);
    let server = |worker| {
        let config = Config {
            worker,
            ..config.clone()
        };
        Server::beside(now, config, keys.clone(), &siblings).expect("OpenSSL works")
    };
    let others = (1..count).map(|index| server(index as u8)).collect();
    (Arc::clone(&siblings), server(0), others)
}

impl World {
    pub fn new(config: Config, seed: u64) -> Self {
        Self::with_servers(1, config, seed)
    }

    /// The same with several servers beside each other.
    pub fn with_servers(count: usize, config: Config, seed: u64) -> Self {
        let keys = Arc::new(Keys::default());
        let (siblings, server, others) = servers(count, 0, &config, &keys, seed as u8);
        Self {
            start: Instant::now(),
            server,
            others,
            siblings,
            kernel: BTreeMap::new(),
            handed_over: Vec::new(),
            asked: Vec::new(),
            is_prompt: true,
            config,
            keys,
            devices: Vec::new(),
            weather: CALM,
            heard: Vec::new(),
            proved: Vec::new(),
            gone: Vec::new(),
            failures: Vec::new(),
            store: BTreeMap::new(),
            writing: Vec::new(),
            is_fast: true,
            tape: Vec::new(),
            answers: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            order: 0,
            under_way: BinaryHeap::new(),
        }
    }

    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below.max(1)
    }

    /// A device that begins a handshake.
    pub fn device(&mut self, identity: &[u8], offer: Offer) -> usize {
        self.device_with(identity, None, offer)
    }

    /// The same with a key pair.
    pub fn device_with(&mut self, identity: &[u8], pair: Option<Pair>, offer: Offer) -> usize {
        let index = self.devices.len();
        self.devices.push(Device {
            client: Client::new(),
            address: address(index),
            identity: identity.to_vec(),
            key: key_of(identity),
            pair,
            offer,
            received: Vec::new(),
            failed: None,
            closed: None,
        });
        self.connect(index);
        index
    }

    pub fn connect(&mut self, index: usize) {
        let random = std::array::from_fn(|_| self.random(256) as u8);
        let secret = std::array::from_fn(|_| self.random(256) as u8);
        let now = self.now();
        let device = &mut self.devices[index];
        device.failed = None;
        device.closed = None;
        match &device.pair {
            None => device.client.connect(now, device.offer, random),
            Some(pair) => {
                let (offer, credentials) = (device.offer, pair.credentials());
                let client = &mut device.client;
                client.connect_as(now, offer, &credentials, random, secret);
            }
        }
        self.poll_device(index);
    }

    /// Puts a datagram on its way; to the server if it says where it comes from.
    pub fn send(&mut self, from: Option<SocketAddr>, index: usize, datagram: &[u8]) {
        let weather = self.weather;
        let copies = match self.random(100) {
            n if n < weather.loss => 0,
            n if n < weather.loss + weather.duplicate => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let mut bytes = datagram.to_vec();
            if self.random(100) < weather.flip {
                let bit = self.random(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            if self.random(100) < weather.cut {
                bytes.truncate(self.random(bytes.len() as u64) as usize);
            }
            let at = self.now() + self.random(weather.delay_ms);
            self.order += 1;
            let entry = (at, self.order, from, index, bytes);
            self.under_way.push(Reverse(entry));
        }
    }

    pub fn poll_device(&mut self, index: usize) {
        let mut out = [0; 1500];
        let now = self.now();
        loop {
            let device = &mut self.devices[index];
            match device.client.poll(now, &mut SoftAes::new(), &mut out) {
                Some(ToSend::Transmit(len)) => {
                    let from = device.address;
                    self.send(Some(from), index, &out[..len]);
                }
                Some(ToSend::Failed(error)) => device.failed = Some(error),
                None => return,
            }
        }
    }

    fn deliver(&mut self, index: usize, mut datagram: Vec<u8>) {
        let now = self.now();
        let device = &mut self.devices[index];
        let own = device.client.own_cid_len();
        for record in records(&mut datagram, own) {
            let psk = tinsmith_dtls::Credentials::Psk {
                identity: &device.identity,
                key: &device.key,
            };
            let credentials = device.pair.as_ref().map_or(psk, Pair::credentials);
            let aes = &mut SoftAes::new();
            match device.client.handle(now, record, &credentials, aes) {
                Received::Nothing => {}
                Received::Connected => {
                    let association = device.client.association_mut().expect("connected");
                    association.use_all_numbers();
                }
                Received::Data(data) => device.received.push(data.to_vec()),
                Received::Failed(error) => device.failed = Some(error),
                Received::Closed(alert) => device.closed = Some(alert),
            }
        }
        self.poll_device(index);
    }

    /// A datagram arrives at the server.
    pub fn arrive(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.tape.push((from, datagram.to_vec()));
        let now = self.now();
        let to = self.kernel.get(&from).copied().unwrap_or(0);
        let to = to % self.siblings.servers();
        self.at(to).handle(now, from, &mut datagram.to_vec());
        self.poll_server();
    }

    /// One of the servers.
    pub fn at(&mut self, index: usize) -> &mut Server {
        match index.checked_sub(1) {
            None => &mut self.server,
            Some(other) => &mut self.others[other],
        }
    }

    /// Handshakes and associations of all.
    pub fn loads(&mut self) -> Vec<(usize, usize)> {
        (0..self.siblings.servers())
            .map(|index| self.at(index).load())
            .collect()
    }

    /// Tells servers what others ask of them.
    pub fn tell(&mut self) {
        for (of, ask) in std::mem::take(&mut self.asked) {
            self.at(of).asked(ask);
        }
        self.poll_server();
    }

    pub fn poll_server(&mut self) {
        while let Some(output) =
            (0..self.siblings.servers()).find_map(|index| self.at(index).poll())
        {
            match output {
                Output::HandOver {
                    to,
                    from,
                    mut datagram,
                } => {
                    let now = self.now();
                    self.handed_over.push(to);
                    self.at(to).handed_over(now, from, &mut datagram);
                }
                Output::Ask(of, ask) if self.is_prompt => self.at(of).asked(ask),
                Output::Ask(of, ask) => self.asked.push((of, ask)),
                Output::Transmit(to, datagram) => {
                    self.answers.push((to, datagram.clone()));
                    let index = self.devices.iter().position(|d| d.address == to);
                    if let Some(index) = index {
                        self.send(None, index, &datagram);
                    }
                }
                Output::Received {
                    peer,
                    identity,
                    data,
                    ..
                } => {
                    self.proved.push(identity);
                    self.heard.push((peer, data));
                }
                Output::Gone(peer) => self.gone.push(peer),
                Output::Failed(_, why) => self.failures.push(why),
                Output::Keep {
                    number,
                    mark,
                    record,
                } => {
                    self.writing.push((number, mark, record));
                    if self.is_fast {
                        self.write();
                    }
                }
                Output::Forget(number) => {
                    self.writing.retain(|(of, ..)| *of != number);
                    self.store.remove(&number);
                }
            }
        }
    }

    /// Makes durable what the server wants kept.
    pub fn write(&mut self) {
        for (number, mark, record) in std::mem::take(&mut self.writing) {
            self.store.insert(number, record);
            let owner = self.siblings.owner(number);
            self.at(owner).kept(number, mark, true);
        }
    }

    /// The server is killed and started again on what is durable.
    pub fn restart(&mut self, seed: u8) {
        self.restart_with(self.siblings.servers(), seed);
    }

    /// The same with so many servers.
    pub fn restart_with(&mut self, count: usize, seed: u8) {
        let now = self.now();
        let made = servers(count, now, &self.config, &self.keys, seed);
        (self.siblings, self.server, self.others) = made;
        self.writing.clear();
        self.asked.clear();
        for (number, record) in self.store.clone() {
            let owner = self.siblings.owner(number);
            let restored = self.at(owner).restore(now, number, &record, None);
            restored.expect("it was written by the same version");
        }
    }

    /// Lets the next thing happen; false if there is none.
    pub fn step(&mut self) -> bool {
        let arrives = self.under_way.peek().map(|Reverse(entry)| entry.0);
        let devices = self.devices.iter().map(|d| d.client.next_deadline());
        let device = devices.enumerate().filter_map(|(i, at)| Some((at?, i)));
        let device = device.min();
        let servers = [&self.server].into_iter().chain(&self.others);
        let server = servers.filter_map(Server::next_deadline).min();
        let wakes = [arrives, device.map(|(at, _)| at), server];
        let Some(at) = wakes.into_iter().flatten().min() else {
            return false;
        };
        if let Some(wait) = at.checked_sub(self.now()) {
            std::thread::sleep(Duration::from_millis(wait));
        }
        if arrives == Some(at) {
            if let Some(Reverse((_, _, from, index, bytes))) = self.under_way.pop() {
                match from {
                    Some(from) => self.arrive(from, &bytes),
                    None => self.deliver(index, bytes),
                }
            }
        } else if server == Some(at) {
            let now = self.now();
            for index in 0..self.siblings.servers() {
                self.at(index).tick(now);
            }
            self.poll_server();
        } else if let Some((_, index)) = device {
            self.poll_device(index);
        }
        true
    }

    /// Until it is so; panics if it never is.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            if !self.step() {
                assert!(done(self), "never: {what}");
            }
        }
    }

    /// Until nothing is under way any more.
    pub fn settle(&mut self) {
        while !self.under_way.is_empty() {
            self.step();
        }
    }

    pub fn is_open(&self, index: usize) -> bool {
        self.devices[index].client.association().is_some()
    }

    /// Data from a device.
    pub fn say(&mut self, index: usize, data: &[u8]) {
        let record = self.record(index, data);
        let from = self.devices[index].address;
        self.send(Some(from), index, &record);
    }

    /// A record of a device, not sent.
    pub fn record(&mut self, index: usize, data: &[u8]) -> Vec<u8> {
        let association = self.devices[index].client.association_mut();
        let association = association.expect("connected");
        let mut buffer = data.to_vec();
        buffer.resize(data.len() + association.overhead(), 0);
        let kind = ContentType::ApplicationData;
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut buffer, data.len());
        sealed.expect("there is room");
        buffer
    }

    /// Data from the server.
    pub fn answer(&mut self, number: u32, data: &[u8]) {
        let owner = self.siblings.owner(number);
        self.at(owner).send(number, data).expect("it is there");
        self.poll_server();
    }

    /// A device that is connected and was heard.
    pub fn connected(&mut self, identity: &[u8], offer: Offer) -> (usize, Peer) {
        let index = self.device(identity, offer);
        self.until("a handshake", |world| world.is_open(index));
        let before = self.heard.len();
        self.say(index, b"hello");
        self.until("its data", |world| world.heard.len() > before);
        (index, self.heard[before].0)
    }
}
