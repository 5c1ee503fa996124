//! The network: embassy-net over the LAN9118, with the fixed address that QEMU's user network
//! gives its guest.

use embassy_executor::Spawner;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{
    Config, IpListenEndpoint, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4,
};
use static_cell::{ConstStaticCell, StaticCell};

use crate::lan9118::Lan9118;

/// The guest.
pub const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// The host, as the guest sees it.
pub const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
pub use tinsmith_embassy::DATAGRAM;

/// Sockets of the stack.
const SOCKETS: usize = 1;
/// Datagrams that wait to be handled: a server sends one at a time, and there are two.
const RX_QUEUE: usize = 2;
/// Datagrams that wait to be sent; the sender waits for room.
const TX_QUEUE: usize = 1;

/// Starts the stack.
///
/// # Panics
/// If called twice, or if the machine has no LAN9118.
#[inline(never)]
pub fn start(spawner: Spawner, seed: u64) -> Stack<'static> {
    static NIC: ConstStaticCell<Lan9118> = ConstStaticCell::new(Lan9118::new());
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let nic = NIC.take();
    nic.init()
        .expect("a LAN9118: start QEMU with -nic user,model=lan9118");
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(ADDRESS, 24),
        gateway: Some(HOST),
        dns_servers: Default::default(),
    });
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(nic, config, resources, seed);
    spawner.spawn(run(runner).expect("one network task"));
    stack
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, &'static mut Lan9118>) -> ! {
    runner.run().await
}

/// The UDP socket, bound to `port`.
///
/// # Panics
/// If called twice.
pub fn socket(stack: Stack<'static>, port: u16) -> UdpSocket<'static> {
    type Meta<const N: usize> = ConstStaticCell<[PacketMetadata; N]>;
    type Queue<const N: usize> = ConstStaticCell<[u8; N]>;
    static RX_META: Meta<RX_QUEUE> = ConstStaticCell::new([PacketMetadata::EMPTY; RX_QUEUE]);
    static TX_META: Meta<TX_QUEUE> = ConstStaticCell::new([PacketMetadata::EMPTY; TX_QUEUE]);
    static RX: Queue<{ RX_QUEUE * DATAGRAM }> = ConstStaticCell::new([0; RX_QUEUE * DATAGRAM]);
    static TX: Queue<{ TX_QUEUE * DATAGRAM }> = ConstStaticCell::new([0; TX_QUEUE * DATAGRAM]);
    let mut socket = UdpSocket::new(stack, RX_META.take(), RX.take(), TX_META.take(), TX.take());
    socket
        .bind(IpListenEndpoint { addr: None, port })
        .expect("a free port");
    socket
}
