//! Clients of OpenSSL with certificates, the server, and a network that lies in memory.
//! Time is real, since OpenSSL's is; its client repeats its flights after a second.
#![allow(dead_code, unreachable_pub)]

#[path = "authority.rs"]
pub mod authority;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use authority::{DEVICE, Holder, Wish};
use openssl::ssl::{
    ErrorCode, Ssl, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode,
};
use tinsmith_dtls_server::{Config, Credentials, Failure, Output, Own, Psk, Server};
use tinsmith_peer::{Certified, Identity, Peer};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const CCM8: &str = "ECDHE-ECDSA-AES128-CCM8";
pub const SUITES: [&str; 3] = [
    CCM8,
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
];

/// Every name that begins with `device` is that of a device, of whatever authority if there is not
/// one that alone may say so.
#[derive(Default)]
pub struct Names {
    pub gone: Mutex<bool>,
    pub only: Mutex<Option<[u8; 32]>>,
}

impl Credentials for Names {
    fn psk(&self, _: &[u8]) -> Option<Psk> {
        None
    }

    fn certificate(&self, names: &[String], authorities: &[[u8; 32]]) -> Option<(Identity, bool)> {
        let known = names.iter().find(|name| name.starts_with("device"));
        let gone = *self.gone.lock().expect("nobody panics with it");
        let name = known.filter(|_| !gone)?;
        let only = *self.only.lock().expect("nobody panics with it");
        let identity = match only {
            None => named(name),
            Some(authority) => {
                authorities.contains(&authority).then_some(())?;
                Identity::Certified(Box::new(Certified {
                    authority,
                    name: name.clone(),
                }))
            }
        };
        Some((identity, true))
    }
}

/// Datagrams to and from a client.
#[derive(Default)]
pub struct Wire {
    pub to_client: VecDeque<Vec<u8>>,
    pub from_client: Vec<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let datagram = self.to_client.pop_front();
        let datagram = datagram.ok_or(io::ErrorKind::WouldBlock)?;
        place[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.from_client.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a client shows, and whom it believes.
pub struct Shown<'s> {
    pub holder: Option<&'s Holder>,
    pub between: &'s [&'s Holder],
    pub believes: &'s Holder,
    pub suites: &'s str,
    pub mtu: u32,
    pub asks_for: Option<&'s str>,
}

pub struct Client {
    pub stream: SslStream<Wire>,
    pub address: SocketAddr,
    pub is_connected: bool,
    pub failed: Option<String>,
    pub heard: Vec<Vec<u8>>,
}

impl Client {
    pub fn new(shown: &Shown<'_>, n: u16) -> Self {
        let mut context = SslContextBuilder::new(SslMethod::dtls_client()).expect("a context");
        context.set_security_level(0);
        context.set_options(SslOptions::NO_QUERY_MTU);
        context.set_cipher_list(shown.suites).expect("suites");
        context.set_verify(SslVerifyMode::PEER);
        let store = context.cert_store_mut();
        let believed = shown.believes.certificate.clone();
        store.add_cert(believed).expect("a certificate");
        if let Some(holder) = shown.holder {
            context
                .set_certificate(&holder.certificate)
                .expect("it is one");
            context.set_private_key(&holder.key).expect("it is its key");
            for between in shown.between {
                let certificate = between.certificate.clone();
                context
                    .add_extra_chain_cert(certificate)
                    .expect("it is one");
            }
        }
        let mut ssl = Ssl::new(&context.build()).expect("an SSL");
        ssl.set_connect_state();
        ssl.set_mtu(shown.mtu).expect("it is long enough");
        if let Some(name) = shown.asks_for {
            ssl.set_hostname(name).expect("it can ask");
        }
        let stream = SslStream::new(ssl, Wire::default()).expect("a stream");
        Self {
            stream,
            address: SocketAddr::from(([10, 2, 0, 1], n)),
            is_connected: false,
            failed: None,
            heard: Vec::new(),
        }
    }

    /// Goes on as far as it can; what it wants to send.
    pub fn drive(&mut self) -> Vec<Vec<u8>> {
        loop {
            let mut place = [0; 256];
            let done = match self.is_connected {
                false => self.stream.connect().map(|()| 0),
                true => self.stream.ssl_read(&mut place),
            };
            match done {
                Ok(len) if self.is_connected => self.heard.push(place[..len].to_vec()),
                Ok(_) => self.is_connected = true,
                Err(error) => {
                    if error.code() != ErrorCode::WANT_READ {
                        self.failed.get_or_insert(error.to_string());
                    }
                    break;
                }
            }
        }
        std::mem::take(&mut self.stream.get_mut().from_client)
    }

    pub fn say(&mut self, data: &[u8]) {
        assert_eq!(self.stream.ssl_write(data).expect("connected"), data.len());
    }
}

pub struct World {
    pub start: Instant,
    pub server: Server,
    pub names: Arc<Names>,
    pub clients: Vec<Client>,
    pub heard: Vec<(Peer, Identity, Vec<u8>)>,
    pub gone: Vec<Peer>,
    pub failures: Vec<Failure>,
    pub kept: Vec<(u32, Vec<u8>)>,
    /// The longest datagram of the server.
    pub longest: usize,
    /// What happens to a datagram, in percent: lost, doubled, late.
    pub weather: [u64; 3],
    pub late: Vec<(Option<usize>, usize, Vec<u8>)>,
    pub random: u64,
}

pub fn config(own: Own) -> Config {
    Config {
        first_timeout: Duration::from_millis(100),
        own: Some(own),
        reserve: Some(64),
        ..Config::default()
    }
}

impl World {
    pub fn new(config: Config) -> Self {
        let names = Arc::new(Names::default());
        let server = Server::new(0, config, names.clone(), [5; 32]).expect("OpenSSL works");
        Self {
            start: Instant::now(),
            server,
            names,
            clients: Vec::new(),
            heard: Vec::new(),
            gone: Vec::new(),
            failures: Vec::new(),
            kept: Vec::new(),
            longest: 0,
            weather: [0; 3],
            late: Vec::new(),
            random: 77,
        }
    }

    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    pub fn percent(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % 100
    }

    /// A datagram of a client, or of the server to one.
    pub fn carry(&mut self, from: Option<usize>, client: usize, datagram: Vec<u8>) {
        let [loss, double, late] = self.weather;
        if self.percent() < loss {
            return;
        }
        if self.percent() < late {
            return self.late.push((from, client, datagram));
        }
        if self.percent() < double {
            self.arrive(from, client, datagram.clone());
        }
        self.arrive(from, client, datagram);
    }

    pub fn arrive(&mut self, from: Option<usize>, client: usize, mut datagram: Vec<u8>) {
        match from {
            Some(_) => {
                let address = self.clients[client].address;
                self.server.handle(self.now(), address, &mut datagram);
            }
            None => self.clients[client]
                .stream
                .get_mut()
                .to_client
                .push_back(datagram),
        }
    }

    /// Everybody goes on as far as they can.
    pub fn turn(&mut self) {
        for (from, client, datagram) in std::mem::take(&mut self.late) {
            self.arrive(from, client, datagram);
        }
        for client in 0..self.clients.len() {
            for datagram in self.clients[client].drive() {
                self.carry(Some(client), client, datagram);
            }
        }
        self.server.tick(self.now());
        while let Some(output) = self.server.poll() {
            match output {
                Output::Transmit(to, datagram) => {
                    self.longest = self.longest.max(datagram.len());
                    let client = self.clients.iter().position(|c| c.address == to);
                    self.carry(None, client.expect("it is there"), datagram);
                }
                Output::Received {
                    peer,
                    identity,
                    data,
                    ..
                } => self.heard.push((peer, Identity::clone(&identity), data)),
                Output::Gone(peer) => self.gone.push(peer),
                Output::Failed(_, why) => self.failures.push(why),
                Output::Keep {
                    number,
                    mark,
                    record,
                } => {
                    self.kept.push((number, record));
                    self.server.kept(number, mark, true);
                }
                Output::Forget(number) => self.kept.retain(|(of, _)| *of != number),
                Output::HandOver { .. } | Output::Ask(..) => panic!("nobody else is there"),
            }
        }
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            let seen = (&self.failures, &self.clients[0].failed);
            assert!(Instant::now() < end, "never: {what}: {seen:?}");
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A client that is connected and was heard.
    pub fn connected(&mut self, shown: &Shown<'_>) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(shown, 1000 + index as u16));
        self.until("a handshake", |world| world.clients[index].is_connected);
        self.clients[index].say(b"hello");
        let before = self.heard.len();
        self.until("its data", |world| world.heard.len() > before);
        index
    }

    /// Why a client is not let in, and what the alert says to it.
    pub fn refused(&mut self, shown: &Shown<'_>) -> (Failure, String) {
        let (index, before) = (self.clients.len(), self.failures.len());
        self.clients.push(Client::new(shown, 1000 + index as u16));
        self.until("a failure", |world| {
            world.failures.len() > before && world.clients[index].failed.is_some()
        });
        assert_eq!(self.server.load().0, 0);
        let failed = self.clients[index].failed.clone();
        (self.failures[before].clone(), failed.expect("it failed"))
    }
}

pub struct Scene {
    pub root: Holder,
    pub server: Holder,
}

impl Scene {
    pub fn new() -> Self {
        let root = authority::authority("root");
        let server = root.issue(Wish {
            common: "server",
            for_servers: true,
            ..DEVICE
        });
        Self { root, server }
    }

    pub fn own(&self) -> Own {
        let own = Own::new(&self.server.key_pem()).expect("a key");
        let own = own
            .with_certificate(&self.server.pem())
            .expect("its certificate");
        own.with_authorities(&self.root.pem())
            .expect("an authority")
    }

    pub fn shown<'s>(&'s self, holder: &'s Holder) -> Shown<'s> {
        Shown {
            holder: Some(holder),
            between: &[],
            believes: &self.root,
            suites: CCM8,
            mtu: 1232,
            asks_for: None,
        }
    }
}

pub fn named(name: &str) -> Identity {
    Identity::Certificate(name.to_owned())
}
