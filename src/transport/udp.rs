//! UDP with batched system calls: one socket for each listener, any number of devices.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendto, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams per system call.
pub const BATCH: usize = 64;
/// The longest datagram that is taken; longer ones are dropped. CoAP's are at most 1,280 bytes on
/// IPv6 without fragments, and 1,152 by default (RFC 7252 §4.6).
pub const MAX_DATAGRAM: usize = 2048;
/// What is asked of the kernel for each direction, in bytes.
const SOCKET_BUFFER: usize = 8 << 20;

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: SocketAddr,
    /// One datagram.
    pub bytes: Vec<u8>,
}

/// Datagrams received by one call.
pub struct ReceiveBatch {
    buffer: Box<[u8]>,
    items: Vec<(SocketAddr, Range<usize>)>,
}

impl ReceiveBatch {
    /// With its own memory, [`BATCH`] times [`MAX_DATAGRAM`].
    pub fn new() -> Self {
        ReceiveBatch {
            buffer: vec![0; BATCH * MAX_DATAGRAM].into_boxed_slice(),
            items: Vec::with_capacity(BATCH),
        }
    }

    /// Sender and content of each datagram.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.items
            .iter()
            .map(|(from, range)| (*from, &self.buffer[range.clone()]))
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// A bound UDP socket.
pub struct UdpListener {
    socket: UdpSocket,
    address: SocketAddr,
}

impl UdpListener {
    /// Binds to `address`; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // The kernel caps these at net.core.{r,w}mem_max.
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER)?;
        let address = socket.local_addr()?;
        Ok(UdpListener {
            socket: UdpSocket::from_std(socket)?,
            address,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for datagrams and takes up to [`BATCH`] of them.
    pub async fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        self.socket
            .async_io(Interest::READABLE, || receive_now(fd, batch))
            .await
    }

    /// Sends all of `batch` and empties it. A datagram the system refuses is dropped: to CoAP it
    /// is lost on the way.
    pub async fn send(&self, batch: &mut Vec<Outgoing>) -> io::Result<()> {
        let mut sent = 0;
        while sent < batch.len() {
            let end = batch.len().min(sent + BATCH);
            let part = &batch[sent..end];
            let fd = self.socket.as_raw_fd();
            let n = self
                .socket
                .async_io(Interest::WRITABLE, || send_now(fd, part))
                .await;
            sent += match n {
                Ok(n) => n.max(1),
                Err(_) => 1,
            };
        }
        batch.clear();
        Ok(())
    }
}

fn receive_now(socket: RawFd, batch: &mut ReceiveBatch) -> io::Result<()> {
    batch.items.clear();
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let mut slices: Vec<[IoSliceMut<'_>; 1]> = batch
        .buffer
        .chunks_exact_mut(MAX_DATAGRAM)
        .map(|c| [IoSliceMut::new(c)])
        .collect();
    let received = recvmmsg(
        socket,
        &mut headers,
        slices.iter_mut(),
        MsgFlags::MSG_DONTWAIT,
        None,
    );
    let received = match received {
        Ok(received) => received,
        // An ICMP error about an earlier datagram.
        Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for (i, message) in received.enumerate() {
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            continue;
        }
        if let Some(from) = message.address.as_ref().and_then(to_std) {
            batch
                .items
                .push((from, i * MAX_DATAGRAM..i * MAX_DATAGRAM + message.bytes));
        }
    }
    Ok(())
}

fn send_now(socket: RawFd, part: &[Outgoing]) -> io::Result<usize> {
    if let [one] = part {
        let to = SockaddrStorage::from(one.to);
        return Ok(sendto(socket, &one.bytes, &to, MsgFlags::MSG_DONTWAIT).map(|_| 1)?);
    }
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(part.len(), None);
    let slices: Vec<[IoSlice<'_>; 1]> = part.iter().map(|o| [IoSlice::new(&o.bytes)]).collect();
    let addresses: Vec<Option<SockaddrStorage>> = part
        .iter()
        .map(|o| Some(SockaddrStorage::from(o.to)))
        .collect();
    let sent = sendmmsg(
        socket,
        &mut headers,
        &slices,
        &addresses,
        [],
        MsgFlags::MSG_DONTWAIT,
    )?;
    Ok(sent.count())
}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_go_both_ways() {
        let a = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let b = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut out: Vec<Outgoing> = (0..150u8)
            .map(|i| Outgoing {
                to: b.local_addr(),
                bytes: vec![i; 20],
            })
            .collect();
        a.send(&mut out).await.unwrap();
        assert!(out.is_empty());
        let mut batch = ReceiveBatch::new();
        let mut seen = Vec::new();
        while seen.len() < 150 {
            b.receive(&mut batch).await.unwrap();
            for (from, bytes) in batch.iter() {
                assert_eq!(from, a.local_addr());
                assert_eq!(bytes.len(), 20);
                seen.push(bytes[0]);
            }
        }
        assert!(seen.iter().copied().eq(0..150));
    }

    #[tokio::test]
    async fn an_overlong_datagram_is_dropped() {
        let a = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let b = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut out = vec![
            Outgoing {
                to: b.local_addr(),
                bytes: vec![1; MAX_DATAGRAM + 1],
            },
            Outgoing {
                to: b.local_addr(),
                bytes: vec![2; 4],
            },
        ];
        a.send(&mut out).await.unwrap();
        let mut batch = ReceiveBatch::new();
        let mut seen = Vec::new();
        while seen.is_empty() {
            b.receive(&mut batch).await.unwrap();
            seen.extend(batch.iter().map(|(_, bytes)| bytes.to_vec()));
        }
        assert_eq!(seen, [vec![2; 4]]);
    }
}
