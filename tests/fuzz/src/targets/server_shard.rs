//! A whole shard of the server, fed with steps: datagrams, Registers, answers to its own requests,
//! commits that succeed or fail, time that passes. No step may panic, `poll` must come to an end,
//! and a tick leaves nothing that is due.

use std::net::SocketAddr;

use lwm2m_objects::{OwnedValue, Path};
use tinsmith_lwm2m::{
    BootstrapConfig, DeviceRequest, Identity, Input, Limits, ListenerId, ModelSource, Now,
    Operation, Output, Peer, PersistId, RequestId, Role, Shard, ShardConfig,
};
use tinsmith_store::{StoreError, Version};

/// Outputs that one step may cause; far above what the tables can hold.
const ENOUGH: usize = 4096;
const MANAGEMENT: ListenerId = ListenerId(0);
const ENDPOINTS: [&str; 3] = ["a", "b", "c"];
const PATHS: [Path; 8] = [
    Path::resource(3, 0, 0),
    Path::object(3),
    Path::instance(5, 0),
    Path::resource(27300, 0, 13),
    Path::resource(5, 0, 0),
    Path::resource(5, 0, 3),
    Path::instance(27303, 0),
    Path::object(27303),
];

fn shard() -> Shard {
    let limits = Limits {
        registrations: 4,
        uploads: 2,
        bootstraps: 3,
        queue: 8,
        observations: 3,
        devices_per_peer: 2,
        answer: 4096,
        ..Limits::default()
    };
    Shard::new(ShardConfig {
        index: 0,
        shards: 1,
        listeners: vec![Role::Management, Role::Bootstrap],
        bootstrap: BootstrapConfig::default(),
        limits,
        models: ModelSource::default(),
        seed: [7; 32],
    })
}

/// A Register of one of three endpoints.
pub(super) fn register(step: u8, id: u8, links: &[u8]) -> Vec<u8> {
    let name = b'a' + (step >> 4) % 3;
    let mut bytes = vec![0x41, 2, step, id, 9, 0xb2, b'r', b'd'];
    bytes.extend([0x44, b'e', b'p', b'=', name]);
    bytes.extend(b"\x09lwm2m=1.1\xff");
    bytes.extend(if links.is_empty() {
        b"</3/0>,</5/0>"
    } else {
        links
    });
    bytes
}

/// An answer to a request: its id and token; type, code and the rest from the input.
pub(super) fn answer(request: &[u8], step: u8, argument: &[u8]) -> Option<Vec<u8>> {
    let token = usize::from(request.first()? & 15);
    let (code, rest) = argument.split_first().unwrap_or((&69, &[]));
    let head = [0x40 | (step & 0x30) | token as u8, *code];
    Some([&head, request.get(2..4 + token)?, rest].concat())
}

fn operation(choice: u8, path: Path, argument: &[u8], from: u32) -> Operation {
    match choice % 7 {
        0 => Operation::read(path),
        1 => Operation::Observe {
            target: path.into(),
        },
        2 => Operation::CancelObserve {
            target: path.into(),
        },
        3 => Operation::Discover { path },
        4 => Operation::Execute {
            path,
            arguments: String::new(),
        },
        5 => {
            let value = OwnedValue::String("x".repeat(argument.len()));
            Operation::write(path, vec![(path, value)], true)
        }
        _ => Operation::Push {
            path,
            body: vec![1; 5000].into(),
            from,
            tag: [1; 8],
        },
    }
}

struct World {
    shard: Shard,
    now: Now,
    /// The last request of the server.
    asked: Option<Vec<u8>>,
    /// Commits that are neither durable nor failed.
    held: Vec<PersistId>,
    requests: u64,
}

impl World {
    fn inbound(&mut self, listener: ListenerId, peer: Peer, bytes: &[u8]) {
        let input = Input::Inbound {
            listener,
            peer,
            identity: Identity::None,
            management: Some(SocketAddr::from(([127, 0, 0, 1], 5683))),
            bytes,
        };
        self.shard.handle(self.now, input);
    }

    fn step(&mut self, step: u8, length: u8, argument: &[u8]) {
        let port = 1000 + u16::from(step >> 6);
        let peer = Peer::udp(SocketAddr::from(([127, 0, 0, 1], port)));
        match step % 10 {
            0 | 1 => self.inbound(ListenerId(step >> 5 & 1), peer, argument),
            2 => self.inbound(MANAGEMENT, peer, &register(step, length, argument)),
            3 | 4 => {
                let asked = self.asked.as_deref();
                if let Some(bytes) = asked.and_then(|asked| answer(asked, step, argument)) {
                    self.inbound(ListenerId(step >> 7), peer, &bytes);
                }
            }
            5 => {
                let passed = u64::from(length) << (step >> 3 & 15);
                self.now.mono += passed;
                self.now.wall += passed;
                self.shard.handle(self.now, Input::Tick);
            }
            6 => {
                self.requests += 1;
                let path = PATHS[usize::from(step >> 5)];
                let request = DeviceRequest {
                    id: RequestId(self.requests),
                    endpoint: ENDPOINTS[usize::from(step >> 4) % 3].into(),
                    operation: operation(length, path, argument, 1024 * u32::from(step >> 6)),
                    expires: self.now.wall + 60_000,
                    durable: length & 128 != 0,
                };
                self.shard.handle(self.now, Input::Command(request));
            }
            7 => {
                if let Some(id) = self.held.pop() {
                    self.shard
                        .handle(self.now, Input::Persisted(id, Version(1)));
                }
            }
            8 => {
                if let Some(id) = self.held.pop() {
                    let failed = Input::PersistFailed(id, StoreError::Closed);
                    self.shard.handle(self.now, failed);
                }
            }
            _ => self
                .shard
                .handle(self.now, Input::PeerGone(MANAGEMENT, peer)),
        }
    }

    /// Takes all outputs; commits are held, or are durable at once.
    fn drain(&mut self, hold: bool) {
        for _ in 0..ENOUGH {
            match self.shard.poll() {
                None => return,
                Some(Output::Transmit { bytes, .. }) => {
                    if bytes.get(1).is_some_and(|code| (1..32).contains(code)) {
                        self.asked = Some(bytes);
                    }
                }
                Some(Output::Persist(id, _)) if hold => self.held.push(id),
                Some(Output::Persist(id, _)) => {
                    self.shard
                        .handle(self.now, Input::Persisted(id, Version(1)));
                }
                Some(Output::Learned(..) | Output::Event(_)) => {}
            }
        }
        panic!("poll never ends");
    }

    fn is_due(&self) -> bool {
        let deadline = self.shard.next_deadline();
        deadline.is_some_and(|at| at <= self.now.mono)
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut world = World {
        shard: shard(),
        now: Now {
            mono: 0,
            wall: 1_700_000_000_000,
        },
        asked: None,
        held: Vec::new(),
        requests: 0,
    };
    let mut rest = data;
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length) * 2));
        rest = tail;
        world.step(*step, *length, argument);
        world.drain(step & 16 == 0);
        if world.is_due() {
            world.shard.handle(world.now, Input::Tick);
            world.drain(false);
            assert!(!world.is_due(), "a tick left something that was due");
        }
    }
}
