//! The server without sockets: shards with their reconcilers, over the world's disk.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use tinsmith_lwm2m::{
    BootstrapConfig, DeviceRequest, Endpoint, Event, Identity, Input, Limits, ListenerId,
    ModelSource, Now, Operation, Outcome, Output, Peer, PersistId, RequestId, Role, Rule, Shard,
    ShardConfig, TrustAnchors, bucket, route,
};
use tinsmith_store::{Kind, StoreError, Version};
use tinsmith_update::{
    Anchors, Ask, AskId, JobId, JobResult, Output as Wanted, Reconciler, Reply, Status,
};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::models;
use crate::network::Datagram;
use crate::signers::Signers;

/// Where devices bootstrap.
pub const BOOTSTRAP: &str = "10.0.0.1:5783";
/// Where they register.
pub const MANAGEMENT: &str = "10.0.0.1:5683";
/// 2026-01-01T00:00:00Z in milliseconds.
const EPOCH: u64 = 1_767_225_600_000;
/// Seconds of the lifetime that devices get.
const LIFETIME: u32 = 300;
/// The first id of a request that the world itself asks.
const OURS: u64 = 1 << 63;

/// Who waits for a batch.
#[derive(Clone, Copy, Debug)]
pub enum Waits {
    /// The LwM2M core of a shard.
    Core(usize, PersistId),
    /// The reconciler of a shard.
    Reconciler(usize, PersistId),
}

/// What the server has told since the world began, in all its lives.
#[derive(Debug, Default)]
pub struct Told {
    /// How durable requests ended.
    pub ends: BTreeMap<RequestId, Vec<Outcome>>,
    /// How often each device registered, was restored or sent from elsewhere.
    pub arrivals: HashMap<Endpoint, u64>,
    addresses: HashMap<Endpoint, String>,
}

impl Told {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Registered {
                endpoint,
                registration,
                ..
            } => {
                *self.arrivals.entry(endpoint.clone()).or_default() += 1;
                let address = registration.address.clone();
                self.addresses.insert(endpoint.clone(), address);
            }
            Event::Updated {
                endpoint,
                registration,
            } => {
                let address = registration.address.clone();
                let old = self.addresses.insert(endpoint.clone(), address);
                if old.as_ref() != Some(&registration.address) {
                    *self.arrivals.entry(endpoint.clone()).or_default() += 1;
                }
            }
            Event::Completed { id, outcome, .. } if id.0 >= OURS => {
                self.ends.entry(*id).or_default().push(outcome.clone());
            }
            _ => {}
        }
    }
}

struct Half {
    core: Shard,
    reconciler: Reconciler,
    /// Answers to operators that wait for a batch.
    held: HashMap<PersistId, Vec<AskId>>,
}

/// A running server.
pub struct Server {
    origin: u64,
    halves: Vec<Half>,
    /// Told at bootstrap.
    anchors: TrustAnchors,
    signers: Signers,
    jobs: Vec<(u64, usize, JobId, JobResult)>,
    chance: Chance,
    last_ask: u64,
    /// Decisions that are durable.
    pub stored: Vec<AskId>,
    /// What it and those before it told.
    pub told: Told,
    last_request: u64,
}

impl Server {
    /// Starts with what is on the disk.
    pub fn start(
        shards: usize,
        seed: u64,
        now: u64,
        (disk, signers): (&Disk<Waits>, Signers),
        told: Told,
    ) -> Self {
        let mut server = Self {
            origin: now,
            halves: Vec::new(),
            anchors: TrustAnchors::default(),
            signers: Signers::default(),
            jobs: Vec::new(),
            chance: Chance::new(seed),
            // Ids are of one process each.
            last_ask: seed,
            stored: Vec::new(),
            told,
            last_request: OURS | now << 16,
        };
        let clocks = server.clocks(now);
        for index in 0..shards {
            let mut bytes = [0; 32];
            for chunk in bytes.chunks_mut(8) {
                chunk.copy_from_slice(&server.chance.number().to_le_bytes());
            }
            let mut core = Shard::new(ShardConfig {
                index: index as u8,
                shards: shards as u8,
                listeners: vec![Role::Management, Role::Bootstrap],
                bootstrap: BootstrapConfig {
                    rules: vec![Rule {
                        lifetime: LIFETIME,
                        ..Rule::default()
                    }],
                    trust_anchors: server.anchors.clone(),
                    ..BootstrapConfig::default()
                },
                models: ModelSource::default(),
                limits: Limits::default(),
                seed: bytes,
            });
            let mine = |id: &[u8]| {
                let endpoint = String::from_utf8_lossy(id);
                usize::from(bucket(&endpoint)) % shards == index
            };
            let mut records = disk.load(Kind::REGISTRATION);
            records.retain(|(key, _)| mine(&key.id));
            for (key, stored) in disk.load(Kind::REQUEST) {
                let owner = tinsmith_lwm2m::request_of(&key).map(|(endpoint, _)| endpoint);
                if owner.is_some_and(|endpoint| mine(endpoint.as_bytes())) {
                    records.push((key, stored));
                }
            }
            let (_, unreadable) = core.restore(clocks, records);
            assert_eq!(unreadable, 0, "the server can't read what it wrote");
            let mut reconciler = Reconciler::new();
            for (key, stored) in disk.load(Kind::CAPABILITY) {
                let restored = reconciler.restore_capability(&key, &stored);
                restored.unwrap_or_else(|e| panic!("a capability: {e}"));
            }
            for (key, stored) in disk.load(Kind::DEVICE) {
                if mine(&key.id) {
                    let endpoint = String::from_utf8_lossy(&key.id);
                    let restored = reconciler.restore(&endpoint, &stored.bytes);
                    restored.unwrap_or_else(|e| panic!("{endpoint}: {e}"));
                }
            }
            server.halves.push(Half {
                core,
                reconciler,
                held: HashMap::new(),
            });
        }
        server.sign_with(now, signers);
        server
    }

    /// Signs with other keys from now on, and has devices trust them.
    pub fn sign_with(&mut self, now: u64, signers: Signers) {
        let keys = signers.public();
        let clocks = self.clocks(now);
        for half in &mut self.halves {
            half.reconciler.set_anchors(clocks, Anchors::new(&keys));
        }
        self.anchors.set(keys);
        self.signers = signers;
    }

    fn clocks(&self, now: u64) -> Now {
        Now {
            mono: now - self.origin,
            wall: EPOCH + now,
        }
    }

    fn half(&self, endpoint: &str) -> usize {
        usize::from(bucket(endpoint)) % self.halves.len()
    }

    /// When it has something to do.
    pub fn next(&self) -> Option<u64> {
        let jobs = self.jobs.iter().map(|(at, ..)| *at);
        let deadlines = self.halves.iter().flat_map(|half| {
            let both = [half.core.next_deadline(), half.reconciler.next_deadline()];
            both.into_iter().flatten().map(|at| at + self.origin)
        });
        jobs.chain(deadlines).min()
    }

    /// A datagram has come.
    pub fn take(&mut self, now: u64, datagram: &Datagram, disk: &mut Disk<Waits>) -> Vec<Datagram> {
        let index = route(&datagram.bytes, self.halves.len());
        let listener = u8::from(datagram.to.to_string() == BOOTSTRAP);
        let clocks = self.clocks(now);
        self.halves[index].core.handle(
            clocks,
            Input::Inbound {
                listener: ListenerId(listener),
                peer: Peer::udp(datagram.from),
                identity: Identity::None,
                management: address(MANAGEMENT),
                bytes: &datagram.bytes,
            },
        );
        self.drain(now, disk)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64, disk: &mut Disk<Waits>) -> Vec<Datagram> {
        let clocks = self.clocks(now);
        let jobs = std::mem::take(&mut self.jobs);
        for (at, index, id, result) in jobs {
            if at <= now {
                self.halves[index].reconciler.job_done(clocks, id, result);
            } else {
                self.jobs.push((at, index, id, result));
            }
        }
        for half in &mut self.halves {
            if half
                .core
                .next_deadline()
                .is_some_and(|at| at <= clocks.mono)
            {
                half.core.handle(clocks, Input::Tick);
            }
            if half
                .reconciler
                .next_deadline()
                .is_some_and(|at| at <= clocks.mono)
            {
                half.reconciler.tick(clocks);
            }
        }
        self.drain(now, disk)
    }

    /// A batch is durable, or has failed.
    pub fn written(
        &mut self,
        now: u64,
        waits: Waits,
        result: Result<Version, StoreError>,
        disk: &mut Disk<Waits>,
    ) -> Vec<Datagram> {
        let clocks = self.clocks(now);
        match (waits, result) {
            (Waits::Core(index, id), Ok(version)) => {
                self.halves[index]
                    .core
                    .handle(clocks, Input::Persisted(id, version));
            }
            (Waits::Core(index, id), Err(error)) => {
                self.halves[index]
                    .core
                    .handle(clocks, Input::PersistFailed(id, error));
            }
            (Waits::Reconciler(index, id), Ok(_)) => {
                let half = &mut self.halves[index];
                self.stored
                    .extend(half.held.remove(&id).into_iter().flatten());
                half.reconciler.persisted(clocks, id);
            }
            (Waits::Reconciler(index, id), Err(_)) => {
                let half = &mut self.halves[index];
                half.held.remove(&id);
                half.reconciler.persist_failed(clocks, id);
            }
        }
        self.drain(now, disk)
    }

    /// An operator decides; the id is in [`Server::stored`] once the decision is durable.
    pub fn ask(&mut self, now: u64, endpoint: &str, ask: Ask) -> AskId {
        self.last_ask += 1;
        let id = AskId(self.last_ask);
        let clocks = self.clocks(now);
        let half = self.half(endpoint);
        self.halves[half]
            .reconciler
            .ask(clocks, id, &Endpoint::from(endpoint), ask);
        id
    }

    /// Asks a device something; it ends after `life` milliseconds at the latest, see [`Told`].
    pub fn request(
        &mut self,
        now: u64,
        endpoint: &str,
        operation: Operation,
        life: u64,
        durable: bool,
    ) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let clocks = self.clocks(now);
        let half = self.half(endpoint);
        let request = DeviceRequest {
            id,
            endpoint: Endpoint::from(endpoint),
            operation,
            expires: clocks.wall + life,
            durable,
        };
        self.halves[half]
            .core
            .handle(clocks, Input::Command(request));
        id
    }

    /// Takes a request back.
    pub fn withdraw(&mut self, now: u64, endpoint: &str, id: RequestId) {
        let clocks = self.clocks(now);
        let half = self.half(endpoint);
        self.halves[half].core.handle(clocks, Input::Withdraw(id));
    }

    /// How a device stands.
    pub fn status(&self, endpoint: &str) -> Option<Status> {
        self.halves[self.half(endpoint)].reconciler.status(endpoint)
    }

    /// Whether a device is registered.
    pub fn is_registered(&self, endpoint: &str) -> bool {
        self.halves[self.half(endpoint)]
            .core
            .registration(endpoint)
            .is_some()
    }

    /// Carries out what the cores ask for; the datagrams to send.
    pub fn drain(&mut self, now: u64, disk: &mut Disk<Waits>) -> Vec<Datagram> {
        let mut sent = Vec::new();
        let clocks = self.clocks(now);
        for index in 0..self.halves.len() {
            let half = &mut self.halves[index];
            loop {
                if let Some(output) = half.core.poll() {
                    match output {
                        Output::Transmit {
                            listener,
                            peer,
                            bytes,
                            ..
                        } => {
                            let own = if listener.0 == 1 {
                                BOOTSTRAP
                            } else {
                                MANAGEMENT
                            };
                            if let Some(from) = address(own) {
                                let to = peer.address;
                                sent.push(Datagram { from, to, bytes });
                            }
                        }
                        Output::Persist(id, batch) => {
                            disk.commit(now, batch, Waits::Core(index, id));
                        }
                        // Datagrams without a name are none of this world's.
                        Output::Learned(..) => {}
                        Output::Event(event) => {
                            half.reconciler.event(clocks, &event);
                            self.told.hear(&event);
                        }
                    }
                } else if let Some(output) = half.reconciler.poll() {
                    match output {
                        Wanted::Request(request) => {
                            half.core.handle(clocks, Input::Command(request));
                        }
                        Wanted::Withdraw(_, id) => half.core.handle(clocks, Input::Withdraw(id)),
                        Wanted::Persist(id, batch) => {
                            disk.commit(now, batch, Waits::Reconciler(index, id));
                        }
                        Wanted::Job(_, id, job) => {
                            let at = now + self.chance.between(1, 2_000);
                            self.jobs
                                .push((at, index, id, models::job(&job, &self.signers)));
                        }
                        Wanted::Answer(id, Reply::Stored, Some(after)) => {
                            half.held.entry(after).or_default().push(id);
                        }
                        Wanted::Answer(id, Reply::Stored, None) => self.stored.push(id),
                        Wanted::Answer(..) | Wanted::Changed(_) => {}
                    }
                } else {
                    break;
                }
            }
        }
        sent
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}
