//! The shell around the client: datagrams, time and flash in and out.

use core::net::{IpAddr, SocketAddr, SocketAddrV4};

use board::clock;
use board::flash::Flash;
use board::launch::Launch;
use board::layout;
use board::net::DATAGRAM;
use board::random::Random;
use board::{println, semihosting, stack};
use embassy_futures::select::{Either, select};
use embassy_net::udp::UdpSocket;
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::{Instant, Timer};
use lwm2m_objects::{Codec, Path, Value};
use static_cell::{ConstStaticCell, StaticCell};
#[cfg(feature = "dtls")]
use tinsmith_client::SecureFactory;
use tinsmith_client::{
    Buffers, Client, Config, Factory, FlashLayout, FlashRead, Input, Memory, Now, Object,
    Observation, Output, Platform, Region, SLOTS, Scheme, Session,
};
use tinsmith_module::format::isa;
use tinsmith_module::kernels;

use crate::application::Application;

/// Port of the client's end.
pub(crate) const PORT: u16 = 5683;

/// Bootstrap server and one management server.
const SESSIONS: usize = 2;
const OBSERVATIONS: usize = 16;

const CAPABILITY: &[(Path, Value<'static>)] = include!(concat!(env!("OUT_DIR"), "/capability.rs"));

const _: () = assert!(layout::TARGET_SLOTS == SLOTS, "the client has two slots");

const fn slot(index: usize) -> Region {
    Region {
        offset: (index * layout::SLOT_BYTES) as u32,
        size: layout::SLOT_BYTES as u32,
        erase_unit: layout::SLOT_ERASE_UNIT as u32,
    }
}

const LAYOUT: FlashLayout = FlashLayout {
    journal: Region {
        offset: layout::JOURNAL_OFFSET as u32,
        size: layout::JOURNAL_BYTES as u32,
        erase_unit: layout::JOURNAL_ERASE_UNIT as u32,
    },
    slots: [slot(0), slot(1)],
    write_unit: layout::WRITE_UNIT as u32,
};

/// What the client uses while it handles an input.
pub(crate) struct Node {
    pub(crate) flash: Flash,
    pub(crate) random: Random,
}

impl FlashRead for Node {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.flash.read(offset, len)
    }
}

impl Platform for Node {
    fn micros(&self) -> u64 {
        clock::micros()
    }

    fn random(&mut self) -> u32 {
        self.random.next_u32()
    }
}

#[repr(C, align(32))]
struct Arena([u8; layout::ARENA_BYTES]);

fn memory() -> Memory<'static> {
    // All zeros, so none of it lies in flash.
    static SESSION_MEMORY: ConstStaticCell<[Session<'static>; SESSIONS]> =
        ConstStaticCell::new([const { Session::new() }; SESSIONS]);
    static OBSERVATION_MEMORY: ConstStaticCell<[Observation; OBSERVATIONS]> =
        ConstStaticCell::new([Observation::EMPTY; OBSERVATIONS]);
    static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena([0; layout::ARENA_BYTES]));
    static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());
    Memory {
        sessions: SESSION_MEMORY.take(),
        observations: OBSERVATION_MEMORY.take(),
        arena: &mut ARENA.take().0,
        buffers: BUFFERS.take(),
    }
}

/// The client, made in its place.
#[inline(never)]
fn client(
    config: Config<'static>,
    objects: &'static [&'static dyn Object],
) -> &'static mut Client<'static> {
    static CLIENT: StaticCell<Client<'static>> = StaticCell::new();
    CLIENT.init_with(|| Client::new(config, objects, memory()))
}

fn now() -> Now {
    // No battery-backed clock on this board.
    Now {
        mono: clock::millis(),
        wall: 0,
    }
}

#[embassy_executor::task]
pub(crate) async fn run(
    stack: Stack<'static>,
    mut socket: UdpSocket<'static>,
    launch: &'static Launch<'static>,
    mut node: Node,
) {
    let mut application = Application::new();
    let config = Config {
        endpoint: launch.endpoint,
        factory: factory(launch),
        manufacturer: "Tinsmith",
        model_number: layout::PLATFORM_NAME,
        serial_number: launch.endpoint,
        firmware_version: env!("CARGO_PKG_VERSION"),
        capability: &CAPABILITY,
        formats: Codec::ALL,
        kernels: kernels::ALL,
        signatures: &[Scheme::ED25519],
        trust_anchors: &[],
        module_class: layout::MODULE_CLASS,
        layout: LAYOUT,
        stack_bytes: layout::MODULE_STACK_BYTES as u32,
        instruction_sets: isa::THUMB | isa::THUMB2 | isa::DSP | isa::FP_SINGLE,
    };
    stack.wait_config_up().await;
    let client = client(config, application.objects());
    if let Err(error) = client.start(now(), &mut node) {
        println!("this board's configuration: {error:?}");
        semihosting::exit(false)
    }
    let mut buffer = [0; DATAGRAM];
    loop {
        if let Some(input) = application.poll(clock::millis()) {
            client.handle(now(), input, &mut node);
        }
        drain(client, &mut node, &mut socket, &mut buffer).await;
        let deadline = client.next_deadline().into_iter();
        let deadline = deadline.chain(application.next_deadline()).min();
        let wake = async {
            match deadline {
                Some(millis) => Timer::at(Instant::from_millis(millis)).await,
                None => core::future::pending().await,
            }
        };
        match select(socket.recv_from(&mut buffer), wake).await {
            Either::First(Ok((len, meta))) => {
                let IpAddress::Ipv4(address) = meta.endpoint.addr;
                let from = SocketAddrV4::new(address, meta.endpoint.port).into();
                client.receive(now(), from, &mut buffer[..len], &mut node);
            }
            // Longer than any datagram of ours.
            Either::First(Err(_)) => {}
            Either::Second(()) => client.handle(now(), Input::Timer, &mut node),
        }
    }
}

/// The bootstrap server, with DTLS if its URI says so.
fn factory(launch: &'static Launch<'static>) -> Factory<'static> {
    #[cfg(feature = "dtls")]
    if launch.bootstrap.starts_with("coaps:") {
        return Factory::SecureBootstrap(SecureFactory {
            uri: launch.bootstrap,
            identity: launch.identity.as_bytes(),
            key: launch.key.as_bytes(),
        });
    }
    Factory::Bootstrap(launch.bootstrap)
}

/// Carries out what the client wants until it wants nothing more.
async fn drain(
    client: &mut Client<'_>,
    node: &mut Node,
    socket: &mut UdpSocket<'_>,
    buffer: &mut [u8; DATAGRAM],
) {
    while let Some(output) = client.poll(now(), buffer, node) {
        match output {
            Output::Transmit { to, len } => {
                if let Some(to) = endpoint(to)
                    && let Err(error) = socket.send_to(&buffer[..len], to).await
                {
                    println!("{to}: {error:?}");
                }
            }
            Output::Flash(op) => {
                let done = node.flash.execute(op);
                client.handle(now(), Input::FlashDone(done), node);
            }
            Output::Reboot => {
                // The answer to what asked for it is still on its way.
                socket.flush().await;
                let (erases, programs) = (node.flash.erases, node.flash.programs);
                let stack = stack::peak();
                println!("reset; {erases} erases, {programs} programs, {stack} bytes of stack");
                board::reset()
            }
            Output::Event(event) => println!("{:6} {event:?}", clock::millis()),
        }
    }
}

/// The stack has no IPv6.
fn endpoint(to: SocketAddr) -> Option<IpEndpoint> {
    match to.ip() {
        IpAddr::V4(address) => Some(IpEndpoint::new(IpAddress::Ipv4(address), to.port())),
        IpAddr::V6(_) => None,
    }
}
