//! A whole device, fed with steps: datagrams, answers to its own requests, time that passes; its
//! journal may be damaged before it starts. No step may panic, `poll` must come to an end, and
//! the flash is used as flash may be.

use std::net::SocketAddr;
use std::sync::LazyLock;

use tinsmith_board_host::Target;
use tinsmith_client::mem_flash::MemFlash;
use tinsmith_client::{
    Buffers, Client, Config, Factory, FlashRead, Input, Memory, Now, Observation, Output, Platform,
    Scheme, Session,
};

use super::server_shard::answer;

/// Outputs that one step may cause; an erased slot is some hundred.
const ENOUGH: usize = 5000;
/// Steps of a run, so that the fuzzer stays fast.
const MAX_STEPS: usize = 64;
const IMAGE_ALIGN: usize = 32;
const SERVERS: [SocketAddr; 2] = [address(58_599), address(58_598)];
const URI: &str = "coap://127.0.0.1:58599";

const fn address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// The smallest part, so that a run costs little.
static TARGET: LazyLock<Target> =
    LazyLock::new(|| Target::find("stm32l053").unwrap_or_else(|e| panic!("{e}")));

struct Board {
    flash: MemFlash,
    random: u32,
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
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.random
    }
}

/// What the client is to the outside until it reboots.
struct Device<'a> {
    client: Client<'a>,
    board: Board,
    now: Now,
    /// The last request of the device.
    asked: Vec<u8>,
}

impl Device<'_> {
    /// Takes all outputs; false if the device reboots.
    fn drain(&mut self) -> bool {
        let mut buffer = [0; 2048];
        for _ in 0..ENOUGH {
            let done = match self.client.poll(self.now, &mut buffer, &mut self.board) {
                None => return true,
                Some(Output::Reboot) => return false,
                Some(Output::Event(_)) => continue,
                Some(Output::Transmit { len, .. }) => {
                    if (1..32).contains(&buffer[1]) {
                        self.asked = buffer[..len].to_vec();
                    }
                    continue;
                }
                Some(Output::Flash(op)) => self.board.flash.apply(op),
            };
            let input = Input::FlashDone(done);
            self.client.handle(self.now, input, &mut self.board);
        }
        panic!("poll never ends");
    }

    fn step(&mut self, step: u8, length: u8, argument: &[u8]) {
        let from = SERVERS[usize::from(step >> 7)];
        match step % 5 {
            0 | 1 => self.datagram(from, argument),
            2 | 3 => {
                if let Some(bytes) = answer(&self.asked, step, argument) {
                    self.datagram(from, &bytes);
                }
            }
            _ => {
                self.now.mono += u64::from(length) << (step >> 3 & 15);
                self.now.wall += 1;
                self.client.handle(self.now, Input::Timer, &mut self.board);
            }
        }
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let input = Input::Datagram { from, bytes };
        self.client.handle(self.now, input, &mut self.board);
    }
}

pub(crate) fn run(data: &[u8]) {
    let target = &*TARGET;
    let mut image = vec![0xff; target.flash_bytes];
    let mut rest = data;
    if let [0xaa, high, low, damage, tail @ ..] = rest {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % image.len();
        image[at] ^= damage;
        rest = tail;
    }
    let write_unit = target.layout.write_unit as usize;
    let mut board = Board {
        flash: MemFlash::from_image(&image, write_unit),
        random: 1,
    };
    let arena_bytes = target.capability.platform.arena_total as usize;
    let mut arena = vec![0; arena_bytes + IMAGE_ALIGN];
    let start = arena.as_ptr().align_offset(IMAGE_ALIGN);
    let mut sessions: [Session<'_>; 3] = Default::default();
    let mut observations = [Observation::EMPTY; 8];
    let mut buffers = Box::new(Buffers::new());
    let config = Config {
        endpoint: "fuzz",
        factory: Factory::Bootstrap(URI),
        manufacturer: "Tinsmith",
        model_number: "fuzz",
        serial_number: "1",
        firmware_version: "1",
        capability: &target.capability,
        formats: lwm2m_objects::Codec::ALL,
        kernels: tinsmith_module::kernels::ALL,
        signatures: &[Scheme::ED25519, Scheme::ES256],
        trust_anchors: &[],
        module_class: tinsmith_client::module_class(
            &target.capability,
            tinsmith_module::kernels::ALL,
            &[Scheme::ED25519, Scheme::ES256],
        ),
        layout: target.layout,
        stack_bytes: 4096,
        instruction_sets: 0,
    };
    let memory = Memory {
        sessions: &mut sessions,
        observations: &mut observations,
        arena: &mut arena[start..][..arena_bytes],
        buffers: &mut buffers,
    };
    let now = Now {
        mono: 0,
        wall: 1_700_000_000,
    };
    let mut client = Client::new(config, &[], memory);
    if client.start(now, &mut board).is_err() {
        return;
    }
    let mut device = Device {
        client,
        board,
        now,
        asked: Vec::new(),
    };
    for _ in 0..MAX_STEPS {
        if !device.drain() {
            return;
        }
        assert_eq!(device.board.flash.misuse(), None, "flash is not used so");
        let [step, length, tail @ ..] = rest else {
            return;
        };
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length) * 5));
        rest = tail;
        device.step(*step, *length, argument);
    }
}
