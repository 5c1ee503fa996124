//! Datagrams, whatever carries them.

use core::net::{IpAddr, SocketAddr, SocketAddrV4};

use embassy_net::udp::{SendError, UdpSocket};
use embassy_net::{IpAddress, IpEndpoint};

/// Largest datagram that is sent or received, bytes: CoAP's have at most 1,152 (RFC 7252 §4.6), and
/// 64 more with DTLS.
pub const DATAGRAM: usize = 1280;

/// Where datagrams come from and go to.
#[allow(async_fn_in_trait)]
pub trait Network {
    /// Waits for a datagram: its length, and who sent it. None for one that can't be taken.
    ///
    /// May be dropped before it is done, without losing a datagram.
    async fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)>;

    /// Sends a datagram; whether it was taken. One that was not is as good as lost.
    async fn send(&mut self, datagram: &[u8], to: SocketAddr) -> bool;

    /// Waits until everything that was taken is on its way.
    async fn flush(&mut self);
}

impl Network for UdpSocket<'_> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        // Longer than any datagram of ours.
        let (len, meta) = self.recv_from(buffer).await.ok()?;
        let IpAddress::Ipv4(address) = meta.endpoint.addr;
        let from = SocketAddrV4::new(address, meta.endpoint.port);
        Some((len, from.into()))
    }

    async fn send(&mut self, datagram: &[u8], to: SocketAddr) -> bool {
        // The stack has no IPv6.
        let IpAddr::V4(address) = to.ip() else {
            return false;
        };
        let to = IpEndpoint::new(IpAddress::Ipv4(address), to.port());
        let sent: Result<(), SendError> = self.send_to(datagram, to).await;
        sent.is_ok()
    }

    async fn flush(&mut self) {
        UdpSocket::flush(self).await;
    }
}
