//! The client of a real part: what its build script wrote, and the loop.

use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use lwm2m_objects::{Codec, Path, Value};
use static_cell::{ConstStaticCell, StaticCell};
use tinsmith_client::{Client, Config, Factory, FlashLayout, Memory, Scheme, SecureFactory};
use tinsmith_module::kernels;

use crate::network::DATAGRAM;
use crate::node::{Application, Board, run};

/// Port of the client's end.
const PORT: u16 = 5683;
/// Datagrams that wait to be handled: a server sends one at a time, and there are two.
const RX_QUEUE: usize = 2;
/// Datagrams that wait to be sent; the sender waits for room.
const TX_QUEUE: usize = 1;

/// What a device is told once: `settings.rs`, `layout.rs`, `flash.rs` and `capability.rs` of the
/// build script.
#[derive(Clone, Copy)]
pub struct Device {
    /// Endpoint name.
    pub endpoint: &'static str,
    /// URI of the bootstrap server.
    pub bootstrap: &'static str,
    /// What it knows the key by, if it has DTLS.
    pub identity: &'static str,
    /// The key.
    pub key: &'static [u8],
    /// Board name.
    pub platform_name: &'static str,
    /// Paths and values of 27300 to 27302.
    pub capability: &'static &'static [(Path, Value<'static>)],
    /// Class identifier of modules.
    pub module_class: [u8; 16],
    /// Where the flash is.
    pub layout: FlashLayout,
    /// Bytes of stack that a module may use.
    pub stack_bytes: u32,
    /// Instruction sets that a module may use, bits of `tinsmith_module::format::isa`.
    pub instruction_sets: u32,
}

impl Device {
    fn factory(&self) -> Factory<'static> {
        if !self.bootstrap.starts_with("coaps:") {
            return Factory::Bootstrap(self.bootstrap);
        }
        Factory::SecureBootstrap(SecureFactory {
            uri: self.bootstrap,
            identity: self.identity.as_bytes(),
            key: self.key,
        })
    }

    fn config(&self) -> Config<'static> {
        Config {
            endpoint: self.endpoint,
            factory: self.factory(),
            manufacturer: "Tinsmith",
            model_number: self.platform_name,
            serial_number: self.endpoint,
            firmware_version: env!("CARGO_PKG_VERSION"),
            capability: self.capability,
            formats: Codec::ALL,
            kernels: kernels::ALL,
            signatures: &[Scheme::ED25519],
            trust_anchors: &[],
            module_class: self.module_class,
            layout: self.layout,
            stack_bytes: self.stack_bytes,
            instruction_sets: self.instruction_sets,
        }
    }

    /// Waits for an address, and runs the client for as long as there is power. If the client does
    /// not take what the board gives it, this comes back.
    ///
    /// # Panics
    /// If called twice.
    pub async fn run(
        &self,
        stack: Stack<'static>,
        memory: Memory<'static>,
        board: &mut impl Board,
        application: &mut impl Application,
    ) {
        stack.wait_config_up().await;
        let client = client(self.config(), memory, application);
        let Some(mut socket) = socket(stack) else {
            return;
        };
        // Nobody is there to be told why.
        let _ = run(client, &mut socket, board, application).await;
    }
}

/// The client, made in its place.
#[inline(never)]
fn client(
    config: Config<'static>,
    memory: Memory<'static>,
    application: &impl Application,
) -> &'static mut Client<'static> {
    static CLIENT: StaticCell<Client<'static>> = StaticCell::new();
    CLIENT.init_with(|| Client::new(config, application.objects(), memory))
}

fn socket(stack: Stack<'static>) -> Option<UdpSocket<'static>> {
    type Meta<const N: usize> = ConstStaticCell<[PacketMetadata; N]>;
    type Queue<const N: usize> = ConstStaticCell<[u8; N]>;
    static RX_META: Meta<RX_QUEUE> = ConstStaticCell::new([PacketMetadata::EMPTY; RX_QUEUE]);
    static TX_META: Meta<TX_QUEUE> = ConstStaticCell::new([PacketMetadata::EMPTY; TX_QUEUE]);
    static RX: Queue<{ RX_QUEUE * DATAGRAM }> = ConstStaticCell::new([0; RX_QUEUE * DATAGRAM]);
    static TX: Queue<{ TX_QUEUE * DATAGRAM }> = ConstStaticCell::new([0; TX_QUEUE * DATAGRAM]);
    let mut socket = UdpSocket::new(stack, RX_META.take(), RX.take(), TX_META.take(), TX.take());
    socket.bind(PORT).ok()?;
    Some(socket)
}
