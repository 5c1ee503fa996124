//! The core in virtual time, with scripted datagrams.

mod bootstrap;
mod busy;
mod crash;
mod durable;
mod floods;
mod formats;
mod hostile;
mod keys;
mod leaving;
mod observations;
mod oscore;
mod oscore_weather;
mod presence;
mod push;
mod registration;
mod requests;
mod strangers;
mod units;
mod unproven;

use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};

use super::*;
use tinsmith_store::{Kind, MemoryStore};

pub(crate) const MANAGEMENT: ListenerId = ListenerId(0);
pub(crate) const BOOTSTRAP: ListenerId = ListenerId(1);
/// Of the Register in [`Sim::register`].
pub(crate) const LINKS: &[u8] =
    b"</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\",</1/0>,</3/0>,</5/0>";

/// A message as a test writes it.
#[derive(Clone)]
pub(crate) struct Msg {
    pub(crate) kind: MessageType,
    pub(crate) code: Code,
    pub(crate) id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(OptionNumber, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Msg {
    pub(crate) fn con(code: Code, id: u16, token: &[u8]) -> Self {
        Msg {
            kind: MessageType::Confirmable,
            code,
            id,
            token: token.to_vec(),
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The piggybacked response to `request`.
    pub(crate) fn ack(request: &Message<'_>, code: Code) -> Self {
        Msg {
            kind: MessageType::Acknowledgement,
            ..Msg::con(code, request.message_id(), request.token().as_bytes())
        }
    }

    pub(crate) fn option(mut self, number: OptionNumber, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self
    }

    pub(crate) fn uint(self, number: OptionNumber, value: u32) -> Self {
        let bytes = value.to_be_bytes();
        self.option(number, &bytes[value.leading_zeros() as usize / 8..])
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            self = self.option(OptionNumber::URI_PATH, segment.as_bytes());
        }
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        for part in query.split('&').filter(|s| !s.is_empty()) {
            self = self.option(OptionNumber::URI_QUERY, part.as_bytes());
        }
        self
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let mut buf = vec![0; 2048];
        let token = Token::new(&self.token).unwrap();
        let mut b = Builder::new(&mut buf, self.kind, self.code, self.id, token).unwrap();
        self.options.sort_by_key(|(number, _)| number.0);
        for (number, value) in &self.options {
            b.option(*number, value).unwrap();
        }
        b.payload(&self.payload).unwrap();
        let len = b.len();
        buf.truncate(len);
        buf
    }
}

/// A shard with a store, a network that keeps what was sent, and a clock.
pub(crate) struct Sim {
    pub(crate) shard: Shard,
    pub(crate) store: MemoryStore,
    pub(crate) now: Now,
    pub(crate) sent: Vec<(ListenerId, Peer, Vec<u8>)>,
    pub(crate) events: Vec<Event>,
    /// Peers that were learned.
    pub(crate) learned: Vec<(ListenerId, Peer)>,
    pub(crate) management: Option<std::net::SocketAddr>,
    /// Commits wait until [`Sim::commit`].
    pub(crate) slow_store: bool,
    waiting: Vec<(PersistId, Batch)>,
}

pub(crate) fn peer(port: u16) -> Peer {
    Peer::udp(([127, 0, 0, 1], port).into())
}

pub(crate) fn config() -> ShardConfig {
    ShardConfig {
        index: 0,
        shards: 1,
        listeners: vec![Role::Management, Role::Bootstrap],
        bootstrap: BootstrapConfig {
            rules: vec![Rule {
                pattern: "dev*".into(),
                server_uri: "coap://127.0.0.1:5683".into(),
                ..Rule::default()
            }],
            ..BootstrapConfig::default()
        },
        models: ModelSource::default(),
        limits: Limits {
            exempt_loopback: true,
            ..Limits::default()
        },
        seed: [7; 32],
    }
}

impl Sim {
    pub(crate) fn new() -> Self {
        Sim::with(
            MemoryStore::new(),
            Now {
                mono: 1_000,
                wall: 1_700_000_000_000,
            },
        )
    }

    /// With other limits than those of [`config`].
    pub(crate) fn limited(limits: Limits) -> Self {
        let mut sim = Sim::new();
        let config = config();
        sim.shard = Shard::new(ShardConfig { limits, ..config });
        sim
    }

    pub(crate) fn with(store: MemoryStore, now: Now) -> Self {
        Sim::restored(store, now, 0)
    }

    /// From a store with so many records that can't be read.
    pub(crate) fn restored(store: MemoryStore, now: Now, unreadable: usize) -> Self {
        let mut shard = Shard::new(config());
        let mut records = store.records(Kind::REQUEST);
        records.extend(store.records(Kind::REGISTRATION));
        let (_, bad) = shard.restore(now, records);
        assert_eq!(bad, unreadable);
        let mut sim = Sim {
            shard,
            store,
            now,
            sent: Vec::new(),
            events: Vec::new(),
            learned: Vec::new(),
            management: None,
            slow_store: false,
            waiting: Vec::new(),
        };
        sim.drain();
        sim
    }

    /// The process dies and comes back with what the store has.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(0)
    }

    pub(crate) fn restart_with(self, unreadable: usize) -> Self {
        let now = Now {
            mono: 5,
            wall: self.now.wall + 1_000,
        };
        Sim::restored(self.store.restart(), now, unreadable)
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.shard.poll() {
            match output {
                Output::Transmit {
                    listener,
                    peer,
                    bytes,
                    ..
                } => {
                    self.sent.push((listener, peer, bytes));
                }
                Output::Persist(id, batch) if self.slow_store => self.waiting.push((id, batch)),
                Output::Persist(id, batch) => self.commit_one(id, &batch),
                Output::Event(event) => self.events.push(event),
                Output::Learned(listener, peer) => self.learned.push((listener, peer)),
            }
        }
    }

    fn commit_one(&mut self, id: PersistId, batch: &Batch) {
        let input = match self.store.commit_now(batch) {
            Ok(version) => Input::Persisted(id, version),
            Err(error) => Input::PersistFailed(id, error),
        };
        self.shard.handle(self.now, input);
    }

    pub(crate) fn commit(&mut self) {
        for (id, batch) in std::mem::take(&mut self.waiting) {
            self.commit_one(id, &batch);
        }
        self.drain();
    }

    pub(crate) fn inbound(&mut self, listener: ListenerId, from: Peer, bytes: &[u8]) {
        let input = Input::Inbound {
            listener,
            peer: from,
            identity: Identity::None,
            management: self.management,
            bytes,
        };
        self.shard.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn give(&mut self, from: Peer, message: Msg) {
        self.inbound(MANAGEMENT, from, &message.bytes());
    }

    /// Gives a message and takes the one datagram that comes back.
    pub(crate) fn ask(&mut self, from: Peer, message: Msg) -> Vec<u8> {
        self.give(from, message);
        self.take_one()
    }

    pub(crate) fn take_one(&mut self) -> Vec<u8> {
        assert_eq!(self.sent.len(), 1, "{:?}", self.sent);
        self.sent.remove(0).2
    }

    /// Goes to a later moment, tick by tick.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now.mono + ms;
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= end) {
            let step = at.max(self.now.mono) - self.now.mono;
            self.now = Now {
                mono: self.now.mono + step,
                wall: self.now.wall + step,
            };
            self.shard.handle(self.now, Input::Tick);
            self.drain();
        }
        let step = end - self.now.mono;
        self.now = Now {
            mono: end,
            wall: self.now.wall + step,
        };
    }

    /// Registers; returns the location, e.g. `rd/a7-...`.
    pub(crate) fn register(&mut self, from: Peer, endpoint: &str, id: u16) -> String {
        let answer = self.ask(from, register(endpoint, id));
        created(&answer)
    }

    pub(crate) fn command(&mut self, id: u64, endpoint: &str, operation: Operation) {
        self.ask_device(id, endpoint, operation, false);
    }

    pub(crate) fn ask_device(
        &mut self,
        id: u64,
        endpoint: &str,
        operation: Operation,
        durable: bool,
    ) {
        let expires = self.now.wall + 100_000;
        let request = DeviceRequest {
            id: RequestId(id),
            endpoint: endpoint.into(),
            operation,
            expires,
            durable,
        };
        self.shard.handle(self.now, Input::Command(request));
        self.drain();
    }

    /// So that the registration outlives the test.
    pub(crate) fn limit_lifetime(&mut self) {
        let location = format!("rd/{}", self.shard.registration("dev1").unwrap().location);
        let update = Msg::con(Code::POST, 900, b"lt")
            .path(&location)
            .query("lt=100000");
        assert_eq!(code(&self.ask(peer(1), update)), Code::CHANGED);
        self.events.clear();
    }

    pub(crate) fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        let mut found = Vec::new();
        self.events.retain(|event| match event {
            Event::Completed { id, outcome, .. } => {
                found.push((id.0, outcome.clone()));
                false
            }
            _ => true,
        });
        found
    }
}

pub(crate) fn register(endpoint: &str, id: u16) -> Msg {
    Msg::con(Code::POST, id, &id.to_be_bytes())
        .path("rd")
        .query(&format!("ep={endpoint}&lt=60&lwm2m=1.1&b=U&x=y"))
        .payload(LINKS)
}

pub(crate) fn created(answer: &[u8]) -> String {
    let message = Message::parse(answer).unwrap();
    assert_eq!(
        message.code(),
        Code::CREATED,
        "{}",
        String::from_utf8_lossy(message.payload())
    );
    let segments: Vec<_> = message
        .location_path()
        .map(|s| String::from_utf8(s.to_vec()).unwrap())
        .collect();
    segments.join("/")
}

pub(crate) fn code(answer: &[u8]) -> Code {
    Message::parse(answer).unwrap().code()
}

pub(crate) fn path_of(request: &Message<'_>) -> String {
    request
        .uri_path()
        .map(|s| format!("/{}", String::from_utf8_lossy(s)))
        .collect()
}

/// `dev1` at `peer(1)`.
pub(crate) fn registered() -> Sim {
    let mut sim = Sim::new();
    sim.register(peer(1), "dev1", 1);
    sim.events.clear();
    sim
}

pub(crate) fn text(request: &Message<'_>, payload: &str) -> Msg {
    Msg::ack(request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(payload.as_bytes())
}
