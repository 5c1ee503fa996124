//! The client on this board.

use board::flash::Flash;
use board::launch::Launch;
#[cfg(feature = "x509")]
use board::launch::Usage;
use board::random::Random;
use board::{clock, layout, println, semihosting, stack};
use embassy_net::Stack;
use embassy_net::udp::UdpSocket;
use lwm2m_objects::{Codec, Path, Value};
use static_cell::{ConstStaticCell, StaticCell};
#[cfg(feature = "x509")]
use tinsmith_client::Certificates;
#[cfg(feature = "rpk")]
use tinsmith_client::KeyPair;
#[cfg(feature = "oscore")]
use tinsmith_client::OscoreFactory;
#[cfg(feature = "dtls")]
use tinsmith_client::SecureFactory;
use tinsmith_client::{
    Client, Config, Event, Factory, FlashError, FlashLayout, FlashOp, FlashRead, Object, Platform,
    Region, Scheme,
};
use tinsmith_embassy::{Application as _, Board, ClientMemory};
use tinsmith_module::format::isa;
use tinsmith_module::kernels;

use crate::application::Application;

/// Port of the client's end.
pub(crate) const PORT: u16 = 5683;

/// Bootstrap server and one management server.
const SESSIONS: usize = 2;
const OBSERVATIONS: usize = 16;

const CAPABILITY: &[(Path, Value<'static>)] = include!(concat!(env!("OUT_DIR"), "/capability.rs"));

const LAYOUT: FlashLayout = include!(concat!(env!("OUT_DIR"), "/flash.rs"));

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

impl Board for Node {
    async fn flash(&mut self, op: FlashOp<'_>) -> Result<(), FlashError> {
        self.flash.execute(op)
    }

    fn reset(&mut self) -> ! {
        let (erases, programs) = (self.flash.erases, self.flash.programs);
        let stack = stack::peak();
        println!("reset; {erases} erases, {programs} programs, {stack} bytes of stack");
        board::reset()
    }

    fn event(&mut self, event: &Event) {
        println!("{:6} {event:?}", clock::millis());
    }
}

/// The client, made in its place.
#[inline(never)]
fn client(
    config: Config<'static>,
    objects: &'static [&'static dyn Object],
) -> &'static mut Client<'static> {
    static CLIENT: StaticCell<Client<'static>> = StaticCell::new();
    // All zeros, so none of it lies in flash.
    static MEMORY: ConstStaticCell<ClientMemory<{ layout::ARENA_BYTES }, SESSIONS, OBSERVATIONS>> =
        ConstStaticCell::new(ClientMemory::new());
    CLIENT.init_with(|| Client::new(config, objects, MEMORY.take().memory()))
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
    let error = tinsmith_embassy::run(client, &mut socket, &mut node, &mut application).await;
    println!("this board's configuration: {error:?}");
    semihosting::exit(false)
}

/// The bootstrap server, with DTLS if its URI says so, with what the launcher has for it.
#[inline(never)]
fn factory(launch: &'static Launch<'static>) -> Factory<'static> {
    #[cfg(feature = "oscore")]
    if !launch.context.secret.is_empty() {
        return Factory::OscoreBootstrap(OscoreFactory {
            uri: launch.bootstrap,
            master_secret: launch.context.secret,
            master_salt: launch.context.salt,
            sender_id: launch.context.sender_id,
            recipient_id: launch.context.recipient_id,
            id_context: None,
        });
    }
    #[cfg(feature = "rpk")]
    if !launch.pair.private.is_empty() {
        return Factory::KeyPairBootstrap(KeyPair {
            uri: launch.bootstrap,
            public: launch.pair.public,
            private: launch.pair.private,
            server: launch.pair.server,
            #[cfg(feature = "x509")]
            certificates: match launch.pair.usage {
                Usage::RawKeys => None,
                usage => Some(Certificates {
                    is_of_authority: usage == Usage::Authority,
                    server_name: "",
                }),
            },
        });
    }
    #[cfg(feature = "dtls")]
    if launch.bootstrap.starts_with("coaps:") {
        return Factory::SecureBootstrap(SecureFactory {
            uri: launch.bootstrap,
            identity: launch.identity.as_bytes(),
            key: launch.key,
        });
    }
    Factory::Bootstrap(launch.bootstrap)
}
