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
/// Largest datagram that is sent or received, bytes.
pub const DATAGRAM: usize = 1472;

/// Sockets of the stack.
const SOCKETS: usize = 1;
/// Datagrams that wait in either direction.
const QUEUE: usize = 4;

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
    type Meta = [PacketMetadata; QUEUE];
    type Queue = [u8; QUEUE * DATAGRAM];
    static RX_META: ConstStaticCell<Meta> = ConstStaticCell::new([PacketMetadata::EMPTY; QUEUE]);
    static TX_META: ConstStaticCell<Meta> = ConstStaticCell::new([PacketMetadata::EMPTY; QUEUE]);
    static RX: ConstStaticCell<Queue> = ConstStaticCell::new([0; QUEUE * DATAGRAM]);
    static TX: ConstStaticCell<Queue> = ConstStaticCell::new([0; QUEUE * DATAGRAM]);
    let mut socket = UdpSocket::new(stack, RX_META.take(), RX.take(), TX_META.take(), TX.take());
    socket
        .bind(IpListenEndpoint { addr: None, port })
        .expect("a free port");
    socket
}
