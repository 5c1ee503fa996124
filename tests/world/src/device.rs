//! A device: the real client, its flash in memory, and an address behind a NAT.

use std::net::SocketAddr;
use std::sync::LazyLock;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_client::mem_flash::MemFlash;
use tinsmith_client::{
    Buffers, Client, Config, Event, Factory, FlashLayout, FlashRead, Input, Memory, Now, Object,
    Observation, Output, Platform, Region, Scheme, Session,
};

use crate::chance::Chance;
use crate::counter::Counter;
use crate::heard::Heard;
use crate::server::{BOOTSTRAP, MANAGEMENT};

const ARENA: usize = 256;
const ERASE_UNIT: u32 = 2048;
const WRITE_UNIT: u32 = 4;
const SLOT: u32 = 8192;
/// Milliseconds that the device needs from power to its first instruction.
const BOOT: u64 = 40;
/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600;

/// What the board says it is made of.
static RECORDS: LazyLock<Vec<(Path, OwnedValue)>> = LazyLock::new(|| capability().records());

static MODULE_CLASS: LazyLock<[u8; 16]> = LazyLock::new(|| {
    tinsmith_client::module_class(&*RECORDS, tinsmith_module::kernels::ALL, SIGNATURES)
});

const SIGNATURES: &[Scheme] = &[Scheme::ED25519];

fn capability() -> Capability {
    let mut capability =
        tinsmith_targets::find("nrf52840").unwrap_or_else(|| panic!("a target of that name"));
    capability.platform.arena_total = ARENA as u64;
    capability
}

struct Board {
    flash: MemFlash,
    chance: Chance,
}

impl FlashRead for Board {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.flash.read(offset, len)
    }
}

impl Platform for Board {
    fn micros(&self) -> u64 {
        0
    }

    fn random(&mut self) -> u32 {
        self.chance.number() as u32
    }
}

/// A device.
pub struct Device {
    /// Its name.
    pub endpoint: &'static str,
    /// Where its datagrams come from, seen from outside. Changes when its NAT forgets it.
    pub address: SocketAddr,
    /// What it told since the world began.
    pub events: Vec<Event>,
    /// How often it started.
    pub boots: u32,
    /// Its own object, beside those of the client.
    pub counter: &'static Counter,
    /// What it heard of the management server.
    pub heard: Heard,
    board: Board,
    layout: FlashLayout,
    client: Option<Client<'static>>,
    /// Time of its power-on.
    origin: u64,
    /// It starts then.
    start_at: Option<u64>,
    /// A flash operation under way ends then.
    flash_done: Option<(u64, Result<(), tinsmith_client::FlashError>)>,
}

impl Device {
    /// A device that was never switched on; it starts at `now`.
    pub fn new(endpoint: &'static str, address: SocketAddr, seed: u64, now: u64) -> Self {
        let slot = |i: u32| Region {
            offset: SLOT + i * SLOT,
            size: SLOT,
            erase_unit: ERASE_UNIT,
        };
        let journal = Region {
            offset: 0,
            size: SLOT,
            erase_unit: ERASE_UNIT,
        };
        Self {
            endpoint,
            address,
            events: Vec::new(),
            boots: 0,
            counter: Box::leak(Box::default()),
            heard: Heard::default(),
            board: Board {
                flash: MemFlash::new(3 * SLOT as usize, WRITE_UNIT as usize),
                chance: Chance::new(seed),
            },
            layout: FlashLayout {
                journal,
                slots: [slot(0), slot(1)],
                write_unit: WRITE_UNIT,
            },
            client: None,
            origin: now,
            start_at: Some(now),
            flash_done: None,
        }
    }

    fn clocks(&self, now: u64) -> Now {
        Now {
            mono: now - self.origin,
            wall: EPOCH + (now / 1000) as i64,
        }
    }

    /// When it has something to do.
    pub fn next(&self) -> Option<u64> {
        let deadline = self.client.as_ref().and_then(|c| c.next_deadline());
        let times = [
            self.start_at,
            self.flash_done.map(|(at, _)| at),
            deadline.map(|at| at + self.origin),
        ];
        times.into_iter().flatten().min()
    }

    /// The power fails at the n-th unit that is erased or programmed from now on.
    pub fn cut_power_at_unit(&mut self, n: u64) {
        self.board.flash.cut_after(n);
    }

    /// The power fails now and comes back after `off` milliseconds.
    pub fn cut_power(&mut self, now: u64, off: u64) {
        self.client = None;
        self.flash_done = None;
        self.start_at = Some(now + off + BOOT);
    }

    /// Datagrams that it sends, as (destination, content).
    pub fn take(&mut self, now: u64, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let clocks = self.clocks(now);
        if let Some(client) = &mut self.client {
            if from.to_string() == MANAGEMENT {
                self.heard.hear(bytes);
            }
            client.handle(clocks, Input::Datagram { from, bytes }, &mut self.board);
        }
        self.pump(now)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        if self.start_at.is_some_and(|at| at <= now) {
            self.start_at = None;
            self.boot(now);
        }
        let clocks = self.clocks(now);
        if let Some((_, result)) = self.flash_done.take_if(|(at, _)| *at <= now)
            && let Some(client) = &mut self.client
        {
            client.handle(clocks, Input::FlashDone(result), &mut self.board);
        }
        if let Some(client) = &mut self.client
            && client.next_deadline().is_some_and(|at| at <= clocks.mono)
        {
            client.handle(clocks, Input::Timer, &mut self.board);
        }
        self.pump(now)
    }

    fn boot(&mut self, now: u64) {
        assert_eq!(self.board.flash.misuse(), None, "{}", self.endpoint);
        self.board.flash.restore();
        self.origin = now;
        self.boots += 1;
        self.heard.boot();
        #[repr(align(32))]
        struct Arena([u8; ARENA]);
        let arena: &'static mut Arena = Box::leak(Box::new(Arena([0; ARENA])));
        static BOOTSTRAP_URI: LazyLock<String> = LazyLock::new(|| format!("coap://{BOOTSTRAP}"));
        let config = Config {
            endpoint: self.endpoint,
            factory: Factory::Bootstrap(BOOTSTRAP_URI.as_str()),
            manufacturer: "Tinsmith",
            model_number: "world",
            serial_number: "1",
            firmware_version: "1",
            capability: &*RECORDS,
            formats: lwm2m_objects::Codec::ALL,
            kernels: tinsmith_module::kernels::ALL,
            signatures: SIGNATURES,
            trust_anchors: &[],
            module_class: *MODULE_CLASS,
            layout: self.layout,
            stack_bytes: 4096,
            instruction_sets: 0,
        };
        let objects = Box::leak(Box::new([self.counter as &dyn Object]));
        let memory = Memory {
            sessions: Box::leak(Box::new([const { Session::new() }; 3])),
            observations: Box::leak(Box::new([Observation::EMPTY; 8])),
            arena: &mut arena.0,
            buffers: Box::leak(Box::new(Buffers::new())),
        };
        let mut client = Client::new(config, objects, memory);
        if let Err(error) = client.start(self.clocks(now), &mut self.board) {
            panic!("{} does not boot: {error:?}", self.endpoint);
        }
        self.client = Some(client);
    }

    fn pump(&mut self, now: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        let clocks = self.clocks(now);
        let mut buf = [0; 1152];
        let mut off = None;
        while let Some(client) = &mut self.client {
            let Some(output) = client.poll(clocks, &mut buf, &mut self.board) else {
                break;
            };
            match output {
                Output::Transmit { to, len } => sent.push((to, buf[..len].to_vec())),
                Output::Flash(op) => {
                    let took = self.board.chance.between(1, 30);
                    let result = self.board.flash.apply(op);
                    assert_eq!(self.board.flash.misuse(), None, "{}", self.endpoint);
                    if self.board.flash.is_dead() {
                        off = Some(took);
                        break;
                    }
                    self.flash_done = Some((now + took, result));
                }
                Output::Reboot => {
                    off = Some(1);
                    break;
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        if let Some(off) = off {
            self.cut_power(now, off);
        }
        sent
    }
}
