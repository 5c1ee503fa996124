//! A shard of the server with devices that have OSCORE, fed with steps: datagrams of anybody, what
//! devices have sealed, changed or sent again, commits that succeed or fail, contexts that go and come,
//! restarts. A name with a context is nobody else's, and no number is used for two messages.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use lwm2m_objects::Path;
use tinsmith_coap::{Message, OptionNumber};
use tinsmith_lwm2m::{
    Access, BootstrapConfig, DeviceRequest, Identity, Input, Issued, Limits, ListenerId,
    ModelSource, Now, Operation, OscoreContext, OscoreContexts, OscoreStart, Output, Peer,
    PersistId, RequestId, Role, Shard, ShardConfig,
};
use tinsmith_oscore::{Master, Message as Taken, Opened, OscoreOption, Peer as Context, SoftAes};
use tinsmith_store::{Batch, Key, Kind, Op, StoreError, Version};

/// Outputs that one step may cause; far above what the tables can hold.
const ENOUGH: usize = 4096;
const NAMES: [&str; 3] = ["a", "b", "c"];
const PATH: Path = Path::resource(3, 0, 9);

/// The contexts of devices, whose IDs are their names.
#[derive(Default)]
struct Contexts(Mutex<BTreeMap<Vec<u8>, Arc<OscoreContext>>>);

fn master(sender: &[u8], recipient: &[u8]) -> Master {
    Master::new(b"a secret", b"salt", sender, recipient).expect("good")
}

impl Contexts {
    fn set(&self, name: &str, start: Option<OscoreStart>) {
        let mut all = self.0.lock().expect("whole");
        match start {
            Some(start) => {
                let context = OscoreContext {
                    endpoint: name.into(),
                    master: master(b"server", name.as_bytes()),
                    start,
                };
                all.insert(name.into(), Arc::new(context));
            }
            None => drop(all.remove(name.as_bytes())),
        }
    }
}

impl OscoreContexts for Contexts {
    fn context(&self, kid: &[u8]) -> Option<Arc<OscoreContext>> {
        self.0.lock().expect("whole").get(kid).cloned()
    }

    fn record(&self, context: &OscoreContext, encoded: &[u8]) -> Option<Op> {
        let key = Key::new(Kind::OSCORE, context.endpoint.as_bytes());
        Some(Op::Put(key, encoded.to_vec()))
    }
}

impl Access for Contexts {
    fn may_be(&self, identity: &Identity, endpoint: &str) -> bool {
        match identity {
            Identity::Oscore(id) => id == endpoint.as_bytes(),
            _ => !NAMES.contains(&endpoint),
        }
    }

    fn may_bootstrap(&self, identity: &Identity, endpoint: &str) -> bool {
        self.may_be(identity, endpoint)
    }

    fn name_of(&self, identity: &Identity, _: Role) -> Option<String> {
        match identity {
            Identity::Oscore(id) => String::from_utf8(id.clone()).ok(),
            _ => None,
        }
    }

    fn registers(&self, _: &Identity, _: &str) -> Vec<Op> {
        Vec::new()
    }

    fn issue(&self, _: u64, _: &str, _: [u8; 32]) -> Result<Issued, String> {
        Err("no".to_owned())
    }
}

/// A device, the ID Context of its keys, and a number.
type Number = (u16, Option<Vec<u8>>, u64);

struct World {
    shard: Shard,
    contexts: Arc<Contexts>,
    devices: [Context; 3],
    now: Now,
    /// What each device was sent last.
    sent: [Option<Vec<u8>>; 3],
    /// What a device sealed last.
    sealed: Option<(Peer, Vec<u8>)>,
    /// Commits that are neither durable nor failed.
    held: VecDeque<(PersistId, Batch)>,
    /// What is durable of contexts.
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Requests by device, ID Context and number.
    numbers: BTreeMap<Number, Vec<u8>>,
    requests: u64,
    random: u8,
}

fn shard(contexts: &Arc<Contexts>) -> Shard {
    let limits = Limits {
        registrations: 4,
        uploads: 2,
        bootstraps: 3,
        queue: 8,
        observations: 3,
        answer: 4096,
        ..Limits::default()
    };
    let config = ShardConfig {
        index: 0,
        shards: 1,
        listeners: vec![Role::Management, Role::Bootstrap],
        bootstrap: BootstrapConfig::default(),
        limits,
        models: ModelSource::default(),
        seed: [7; 32],
    };
    Shard::new(config)
        .with_access(Arc::clone(contexts) as Arc<dyn Access>)
        .with_oscore(Arc::clone(contexts) as Arc<dyn OscoreContexts>)
}

/// The address of a device.
fn peer(device: usize) -> Peer {
    Peer::udp(SocketAddr::from(([192, 0, 2, 1], device as u16)))
}

impl World {
    fn inbound(&mut self, listener: ListenerId, peer: Peer, bytes: &[u8]) {
        let input = Input::Inbound {
            listener,
            peer,
            identity: Identity::None,
            management: None,
            bytes,
        };
        self.shard.handle(self.now, input);
    }

    /// A device seals a message, if it is one, and sends it.
    fn say(&mut self, listener: ListenerId, device: usize, plain: &[u8]) {
        let context = &mut self.devices[device];
        let reservation = context.reserve(100);
        context.confirm_reserved(reservation);
        let mut out = vec![0; plain.len() + tinsmith_oscore::MAX_OVERHEAD];
        let Ok(len) = context.seal(&mut SoftAes::new(), plain, &mut out) else {
            return;
        };
        out.truncate(len);
        self.sealed = Some((peer(device), out.clone()));
        self.inbound(listener, peer(device), &out);
    }

    /// A device takes what it was sent last; if that is a request it answers.
    fn take(&mut self, device: usize, step: u8, argument: &[u8]) {
        let Some(mut datagram) = self.sent[device].take() else {
            return;
        };
        let mut out = vec![0; datagram.len() + 100];
        let seed = &mut self.random;
        let mut random = |place: &mut [u8]| {
            *seed = seed.wrapping_add(1);
            place.fill(*seed);
        };
        let context = &mut self.devices[device];
        let aes = &mut SoftAes::new();
        let opened = context.open(aes, &mut random, &mut datagram, &mut out);
        match opened {
            Opened::Message(Taken { len, .. }) => {
                let is_request = matches!(out.get(1), Some(1..=31));
                let plain = super::server_shard::answer(&out[..len], step, argument);
                if let Some(plain) = plain.filter(|_| is_request) {
                    self.say(ListenerId(0), device, &plain);
                }
            }
            Opened::Answer { len, .. } => {
                let answer = out[..len].to_vec();
                self.inbound(ListenerId(0), peer(device), &answer);
            }
            _ => {}
        }
    }

    fn commit(&mut self, id: PersistId, batch: Batch) {
        for op in batch.ops {
            match op {
                Op::Put(key, record) if key.kind == Kind::OSCORE => {
                    self.stored.insert(key.id, record);
                }
                _ => {}
            }
        }
        let durable = Input::Persisted(id, Version(1));
        self.shard.handle(self.now, durable);
    }

    /// As the store says how the context of a name was used.
    fn start(&self, name: &str) -> OscoreStart {
        let stored = self.stored.get(name.as_bytes()).cloned();
        stored.map_or(OscoreStart::Fresh, OscoreStart::Stored)
    }

    fn step(&mut self, step: u8, length: u8, argument: &[u8]) {
        let device = usize::from(step >> 4) % 3;
        let listener = ListenerId(step >> 7);
        match step % 12 {
            0 => self.inbound(listener, peer(device), argument),
            1 | 2 => {
                let register = super::server_shard::register(step, length, argument);
                self.say(listener, device, &register);
            }
            3 => self.say(listener, device, argument),
            4 | 5 => self.take(device, step, argument),
            6 => {
                let Some((from, mut bytes)) = self.sealed.clone() else {
                    return;
                };
                for (place, byte) in bytes.iter_mut().rev().zip(argument) {
                    *place ^= byte;
                }
                let from = if length & 1 == 0 { from } else { peer(7) };
                self.inbound(listener, from, &bytes);
            }
            7 => {
                let passed = u64::from(length) << (step >> 3 & 15);
                self.now.mono += passed;
                self.now.wall += passed;
                self.shard.handle(self.now, Input::Tick);
            }
            8 => {
                self.requests += 1;
                let operation = match length & 1 == 0 {
                    true => Operation::read(PATH),
                    false => Operation::observe(PATH),
                };
                let request = DeviceRequest {
                    id: RequestId(self.requests),
                    endpoint: NAMES[device].into(),
                    operation,
                    expires: self.now.wall + 60_000,
                    durable: false,
                };
                self.shard.handle(self.now, Input::Command(request));
            }
            9 => {
                if let Some((id, batch)) = self.held.pop_front() {
                    match length & 1 == 0 {
                        true => self.commit(id, batch),
                        false => {
                            let failed = Input::PersistFailed(id, StoreError::Closed);
                            self.shard.handle(self.now, failed);
                        }
                    }
                }
            }
            10 => {
                let name = NAMES[device];
                self.contexts.set(name, None);
                let revoked = Input::Revoked(Identity::Oscore(name.into()));
                self.shard.handle(self.now, revoked);
                if length & 1 == 0 {
                    self.contexts.set(name, Some(self.start(name)));
                }
            }
            _ => {
                self.held.clear();
                for name in NAMES {
                    self.contexts.set(name, Some(self.start(name)));
                }
                self.shard = shard(&self.contexts);
            }
        }
    }

    fn transmitted(&mut self, to: Peer, bytes: Vec<u8>) {
        let message = Message::parse(&bytes).expect("a message");
        let port = to.address.port();
        if let Some(value) = message.option(OptionNumber::OSCORE)
            && message.code().is_request()
        {
            let option = OscoreOption::decode(value).expect("an option");
            let number = option.partial_iv.expect("a number");
            let key = (port, option.kid_context.map(<[u8]>::to_vec), number);
            // Its id and token are outside of the protection.
            let sealed = message.payload().to_vec();
            let known = self.numbers.entry(key).or_insert_with(|| sealed.clone());
            assert_eq!(*known, sealed, "a number is used twice");
        }
        if let Some(place) = self.sent.get_mut(usize::from(port)) {
            *place = Some(bytes);
        }
    }

    /// Takes all outputs; commits are held, or are durable at once.
    fn drain(&mut self, hold: bool) {
        for _ in 0..ENOUGH {
            match self.shard.poll() {
                None => return,
                Some(Output::Transmit { peer, bytes, .. }) => self.transmitted(peer, bytes),
                Some(Output::Persist(id, batch)) if hold => self.held.push_back((id, batch)),
                Some(Output::Persist(id, batch)) => {
                    // In their order.
                    self.held.push_back((id, batch));
                    while let Some((id, batch)) = self.held.pop_front() {
                        self.commit(id, batch);
                    }
                }
                Some(Output::Learned(..) | Output::Event(_)) => {}
            }
        }
        panic!("poll never ends");
    }
}

pub(crate) fn run(data: &[u8]) {
    let contexts = Arc::new(Contexts::default());
    for name in NAMES {
        contexts.set(name, Some(OscoreStart::Fresh));
    }
    let device = |name: &str| {
        let start = tinsmith_oscore::Start::Fresh;
        Context::new(master(name.as_bytes(), b"server"), start).expect("good")
    };
    let mut world = World {
        shard: shard(&contexts),
        contexts,
        devices: NAMES.map(device),
        now: Now {
            mono: 0,
            wall: 1_700_000_000_000,
        },
        sent: [None, None, None],
        sealed: None,
        held: VecDeque::new(),
        stored: BTreeMap::new(),
        numbers: BTreeMap::new(),
        requests: 0,
        random: 0,
    };
    let mut rest = data;
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length) * 2));
        rest = tail;
        world.step(*step, *length, argument);
        world.drain(step & 8 != 0);
        for name in NAMES {
            let identity = world.shard.identity(name);
            let own = Identity::Oscore(name.into());
            assert!(identity.is_none_or(|its| *its == own), "{name} is another");
        }
    }
}
