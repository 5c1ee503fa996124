//! Certificates: OpenSSL's client with the server, over a network that lies in memory.
//! Time is real, since OpenSSL's is; its client repeats its flights after a second.

#[path = "common/authority.rs"]
mod authority;

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
use tinsmith_peer::{Identity, Peer};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const CCM8: &str = "ECDHE-ECDSA-AES128-CCM8";
const SUITES: [&str; 3] = [
    CCM8,
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
];

/// Every name that begins with `device` is that of a device.
#[derive(Default)]
struct Names {
    gone: Mutex<bool>,
}

impl Credentials for Names {
    fn psk(&self, _: &[u8]) -> Option<Psk> {
        None
    }

    fn certificate(&self, names: &[String]) -> Option<(String, bool)> {
        let known = names.iter().find(|name| name.starts_with("device"));
        let gone = *self.gone.lock().expect("nobody panics with it");
        known.filter(|_| !gone).map(|name| (name.clone(), true))
    }
}

/// Datagrams to and from a client.
#[derive(Default)]
struct Wire {
    to_client: VecDeque<Vec<u8>>,
    from_client: Vec<Vec<u8>>,
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
struct Shown<'s> {
    holder: Option<&'s Holder>,
    between: &'s [&'s Holder],
    believes: &'s Holder,
    suites: &'s str,
    mtu: u32,
    asks_for: Option<&'s str>,
}

struct Client {
    stream: SslStream<Wire>,
    address: SocketAddr,
    is_connected: bool,
    failed: Option<String>,
    heard: Vec<Vec<u8>>,
}

impl Client {
    fn new(shown: &Shown<'_>, n: u16) -> Self {
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
    fn drive(&mut self) -> Vec<Vec<u8>> {
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

    fn say(&mut self, data: &[u8]) {
        assert_eq!(self.stream.ssl_write(data).expect("connected"), data.len());
    }
}

struct World {
    start: Instant,
    server: Server,
    names: Arc<Names>,
    clients: Vec<Client>,
    heard: Vec<(Peer, Identity, Vec<u8>)>,
    gone: Vec<Peer>,
    failures: Vec<Failure>,
    kept: Vec<(u32, Vec<u8>)>,
    /// The longest datagram of the server.
    longest: usize,
    /// What happens to a datagram, in percent: lost, doubled, late.
    weather: [u64; 3],
    late: Vec<(Option<usize>, usize, Vec<u8>)>,
    random: u64,
}

fn config(own: Own) -> Config {
    Config {
        first_timeout: Duration::from_millis(100),
        own: Some(own),
        reserve: Some(64),
        ..Config::default()
    }
}

impl World {
    fn new(config: Config) -> Self {
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

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn percent(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % 100
    }

    /// A datagram of a client, or of the server to one.
    fn carry(&mut self, from: Option<usize>, client: usize, datagram: Vec<u8>) {
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

    fn arrive(&mut self, from: Option<usize>, client: usize, mut datagram: Vec<u8>) {
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
    fn turn(&mut self) {
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
            }
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            let seen = (&self.failures, &self.clients[0].failed);
            assert!(Instant::now() < end, "never: {what}: {seen:?}");
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A client that is connected and was heard.
    fn connected(&mut self, shown: &Shown<'_>) -> usize {
        let index = self.clients.len();
        self.clients.push(Client::new(shown, 1000 + index as u16));
        self.until("a handshake", |world| world.clients[index].is_connected);
        self.clients[index].say(b"hello");
        let before = self.heard.len();
        self.until("its data", |world| world.heard.len() > before);
        index
    }

    /// Why a client is not let in, and what the alert says to it.
    fn refused(&mut self, shown: &Shown<'_>) -> (Failure, String) {
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

struct Scene {
    root: Holder,
    server: Holder,
}

impl Scene {
    fn new() -> Self {
        let root = authority::authority("root");
        let server = root.issue(Wish {
            common: "server",
            for_servers: true,
            ..DEVICE
        });
        Self { root, server }
    }

    fn own(&self) -> Own {
        let own = Own::new(&self.server.key_pem()).expect("a key");
        let own = own
            .with_certificate(&self.server.pem())
            .expect("its certificate");
        own.with_authorities(&self.root.pem())
            .expect("an authority")
    }

    fn shown<'s>(&'s self, holder: &'s Holder) -> Shown<'s> {
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

fn named(name: &str) -> Identity {
    Identity::Certificate(name.to_owned())
}

#[test]
fn each_suite_and_what_is_left_of_a_handshake() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    for suites in SUITES {
        let mut world = World::new(config(scene.own()));
        let client = world.connected(&Shown {
            suites,
            asks_for: Some("any.name"),
            ..scene.shown(&device)
        });
        let (peer, identity, data) = world.heard[0].clone();
        assert_eq!((&identity, &data[..]), (&named("device 1"), &b"hello"[..]));
        // OpenSSL has nothing to do with it any more.
        assert_eq!(world.server.load(), (0, 1), "{suites}");
        world
            .server
            .send(peer.association, b"welcome")
            .expect("it is there");
        world.until("an answer", |world| !world.clients[client].heard.is_empty());
        assert_eq!(world.clients[client].heard, [b"welcome"]);

        // It goes on after a restart.
        let (number, record) = world.kept.last().cloned().expect("it is kept");
        assert!(record.len() <= 200, "{}", record.len());
        let again = World::new(config(scene.own()));
        world.server = again.server;
        world
            .server
            .restore(0, number, &record, None)
            .expect("it can be read");
        world.clients[client].say(b"still me");
        world.until("its data", |world| world.heard.len() == 2);
        assert_eq!(world.heard[1], (peer, identity, b"still me".to_vec()));
    }
}

#[test]
fn names_and_authorities_between() {
    let scene = Scene::new();
    let between = scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    });
    let mut world = World::new(config(scene.own()));
    for (common, other, name) in [
        ("device a", ["", ""], "device a"),
        ("serial 77", ["device.b", ""], "device.b"),
        ("", ["other", "device:c"], "device:c"),
    ] {
        let device = between.issue(Wish {
            common,
            other,
            ..DEVICE
        });
        world.connected(&Shown {
            between: &[&between],
            ..scene.shown(&device)
        });
        assert_eq!(world.heard.last().expect("one").1, named(name));
    }
    // Whoever has a certificate of its own, and nobody above, may be believed as well.
    let own = authority::authority("device alone");
    let config = config(scene.own().with_authorities(&own.pem()).expect("one"));
    World::new(config).connected(&scene.shown(&own));
}

#[test]
fn who_is_not_believed() {
    let scene = Scene::new();
    let mut world = World::new(config(scene.own()));
    let between = scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    });
    let foreign = authority::authority("another root");
    let forged = authority::authority("root");
    let no_authority = scene.root.issue(DEVICE);
    let expired = Wish { days: -1, ..DEVICE };
    let for_servers = Wish {
        for_servers: true,
        ..DEVICE
    };
    let stranger = Wish {
        common: "stranger",
        ..DEVICE
    };
    for (what, holder, chain, why, alert) in [
        (
            "expired",
            scene.root.issue(expired),
            None,
            "expired",
            "certificate expired",
        ),
        ("foreign", foreign.issue(DEVICE), None, "", "unknown ca"),
        ("forged", forged.issue(DEVICE), None, "", "decrypt error"),
        (
            "alone",
            authority::authority("device 1"),
            None,
            "self",
            "unknown ca",
        ),
        (
            "chain-less",
            between.issue(DEVICE),
            None,
            "issuer",
            "unknown ca",
        ),
        (
            "no authority",
            no_authority.issue(DEVICE),
            Some(&no_authority),
            "",
            "",
        ),
        (
            "for servers",
            scene.root.issue(for_servers),
            None,
            "purpose",
            "unsupported certificate",
        ),
        (
            "no name",
            scene.root.issue(stranger),
            None,
            "nobody",
            "certificate unknown",
        ),
    ] {
        let chain: Vec<&Holder> = chain.into_iter().collect();
        let (failure, said) = world.refused(&Shown {
            between: &chain,
            ..scene.shown(&holder)
        });
        let Failure::NotBelieved(reason) = &failure else {
            panic!("{what}: {failure:?}")
        };
        assert!(reason.contains(why), "{what}: {reason}");
        assert!(said.contains(alert), "{what}: {said}");
    }
    let (failure, said) = world.refused(&Shown {
        holder: None,
        ..scene.shown(&foreign)
    });
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
    assert!(said.contains("handshake failure"), "{said}");
    assert_eq!(world.heard, []);
    // Others are not kept out by that.
    let device = scene.root.issue(DEVICE);
    world.connected(&scene.shown(&device));
}

/// A server without a certificate has none to show, and one without authorities believes none.
#[test]
fn servers_without() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let key = scene.server.key_pem();
    let mut world = World::new(config(Own::new(&key).expect("a key")));
    let (failure, said) = world.refused(&scene.shown(&device));
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
    assert!(said.contains("handshake failure"), "{said}");
    let own = Own::new(&key).expect("a key");
    let own = own.with_certificate(&scene.server.pem()).expect("its own");
    let (failure, said) = World::new(config(own)).refused(&scene.shown(&device));
    assert!(matches!(failure, Failure::NotBelieved(_)), "{failure:?}");
    assert!(said.contains("unknown ca"), "{said}");
}

#[test]
fn what_can_not_be_shown() {
    let scene = Scene::new();
    let key = scene.server.key_pem();
    for wrong in [&b""[..], b"key", &key[..key.len() / 2], &scene.server.pem()] {
        assert!(Own::new(wrong).is_err());
    }
    let own = Own::new(&key).expect("a key");
    for wrong in [&b""[..], &key, &scene.root.pem()] {
        assert!(own.clone().with_certificate(wrong).is_err());
    }
    assert!(own.clone().with_authorities(b"").is_err());
    assert!(!format!("{own:?}").contains("PRIVATE"));
    assert_eq!(own.public_key().expect("a key").len(), 91);
    let made = Own::generate().expect("a key");
    assert!(Own::new(&made).is_ok());
}

/// Flights of certificates are longer than what is sent at once here.
#[test]
fn small_datagrams() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(Config {
        mtu: 300,
        ..config(scene.own())
    });
    world.connected(&Shown {
        mtu: 300,
        ..scene.shown(&device)
    });
    assert!(world.longest <= 300, "{}", world.longest);
}

#[test]
fn networks_that_lose_double_and_reorder() {
    let scene = Scene::new();
    let mut world = World::new(Config {
        mtu: 400,
        ..config(scene.own())
    });
    world.weather = [3, 10, 20];
    for n in 0..16u16 {
        let name = format!("device {n}");
        let device = scene.root.issue(Wish {
            common: &name,
            ..DEVICE
        });
        let shown = Shown {
            suites: SUITES[usize::from(n) % 3],
            mtu: 400,
            ..scene.shown(&device)
        };
        world.clients.push(Client::new(&shown, 1000 + n));
    }
    world.until("all handshakes", |world| {
        world.clients.iter().all(|client| client.is_connected)
    });
    let mut round = 0u8;
    while world.server.load() != (0, 16) {
        for client in 0..16 {
            world.clients[client].say(&[client as u8, round]);
        }
        world.turn();
        round += 1;
        assert!(round < 100, "somebody is never heard");
    }
    let mut heard: Vec<_> = world
        .heard
        .iter()
        .map(|(_, _, data)| data.clone())
        .collect();
    for (peer, identity, data) in &world.heard {
        assert_eq!(peer.address.port(), 1000 + u16::from(data[0]));
        assert_eq!(*identity, named(&format!("device {}", data[0])));
    }
    let all = heard.len();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), all, "something was heard twice");
}

#[test]
fn names_that_are_taken_away() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(config(scene.own()));
    let client = world.connected(&scene.shown(&device));
    world.server.revoke_unknown();
    world.turn();
    assert_eq!(world.gone, [], "it is still known");
    *world.names.gone.lock().expect("nobody panics with it") = true;
    world.server.revoke_unknown();
    world.until("the alert", |world| world.clients[client].failed.is_some());
    assert_eq!(world.gone.len(), 1);
    assert!(world.kept.is_empty());
    let said = world.clients[client].failed.clone().expect("it failed");
    assert!(said.contains("access denied"), "{said}");
    world.refused(&scene.shown(&device));
}

/// A second handshake of the same name takes the place of the first.
#[test]
fn a_name_has_one_association() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(config(scene.own()));
    world.connected(&scene.shown(&device));
    world.connected(&scene.shown(&device));
    assert_eq!(world.server.load(), (0, 1));
    assert_eq!(world.gone, [world.heard[0].0]);
}
