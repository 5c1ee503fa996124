//! UDP with batched system calls: one socket for each listener, any number of devices.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, recvmmsg,
    sendmmsg, sendto, setsockopt, socket, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{Item, Outgoing, ReceiveBatch};
use tinsmith_peer::{Identity, Peer};

/// Datagrams per system call.
pub const BATCH: usize = 64;
/// The longest datagram that is taken; of a longer one there is the beginning. CoAP's are at most 1,280 bytes on
/// IPv6 without fragments, and 1,152 by default (RFC 7252 §4.6).
pub const MAX_DATAGRAM: usize = 2048;
/// What is asked of the kernel for each direction, in bytes.
const SOCKET_BUFFER: usize = 8 << 20;

/// A bound UDP socket that no runtime watches.
pub struct BoundUdp {
    socket: std::net::UdpSocket,
    address: SocketAddr,
}

impl BoundUdp {
    /// Binds to `address`; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Self::with(socket)
    }

    fn with(socket: std::net::UdpSocket) -> io::Result<Self> {
        // The kernel caps these at net.core.{r,w}mem_max.
        setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER)?;
        setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER)?;
        let address = socket.local_addr()?;
        Ok(BoundUdp { socket, address })
    }

    /// Another socket at the same address. What an address sends comes to one of them, always the same
    /// as long as they are there. The first was bound by itself: another process that has the address
    /// is an error, as ever.
    pub fn beside(&self) -> io::Result<Self> {
        setsockopt(&self.socket, sockopt::ReusePort, &true)?;
        let address = SockaddrStorage::from(self.address);
        let family = match self.address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Datagram, flags, None)?;
        setsockopt(&socket, sockopt::ReusePort, &true)?;
        bind(socket.as_raw_fd(), &address)?;
        Self::with(socket.into())
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the running tokio runtime. Several runtimes may listen: each datagram goes to one
    /// of them.
    pub fn listen(&self) -> io::Result<UdpListener> {
        Ok(UdpListener {
            socket: UdpSocket::from_std(self.socket.try_clone()?)?,
            address: self.address,
        })
    }
}

/// A UDP socket on a tokio runtime.
pub struct UdpListener {
    socket: UdpSocket,
    address: SocketAddr,
}

impl UdpListener {
    /// Binds to `address` and listens; port 0 lets the system choose.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        BoundUdp::bind(address)?.listen()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for datagrams and takes up to [`BATCH`] of them.
    pub async fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            if self.try_receive(batch)? {
                return Ok(());
            }
        }
    }

    /// Takes up to [`BATCH`] datagrams that are there; false if there are none.
    pub fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<bool> {
        let fd = self.socket.as_raw_fd();
        let is_ipv4 = self.address.is_ipv4();
        let mut received = false;
        let receive = || {
            let whole = receive_now(fd, is_ipv4, batch)?;
            received = true;
            // Nothing is left: the system will say when there is.
            if whole {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        };
        match self.socket.try_io(Interest::READABLE, receive) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(received),
            Err(error) => Err(error),
        }
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

type Headers = RefCell<MultiHeaders<SockaddrStorage>>;

fn headers() -> Headers {
    RefCell::new(MultiHeaders::preallocate(BATCH, None))
}

thread_local! {
    // What the kernel needs for a batch is 16 KiB, too much to allocate for each call. A call
    // leaves the lengths of the addresses behind, so each family has its own.
    static RECEIVE_V4: Headers = headers();
    static RECEIVE_V6: Headers = headers();
    static SEND: Headers = headers();
}

/// False if there is nothing more for now.
fn receive_now(socket: RawFd, is_ipv4: bool, batch: &mut ReceiveBatch) -> io::Result<bool> {
    let headers = if is_ipv4 { &RECEIVE_V4 } else { &RECEIVE_V6 };
    headers.with_borrow_mut(|headers| receive_with(socket, headers, batch))
}

fn receive_with(
    socket: RawFd,
    headers: &mut MultiHeaders<SockaddrStorage>,
    batch: &mut ReceiveBatch,
) -> io::Result<bool> {
    batch.clear();
    let ReceiveBatch {
        buffer, items, cut, ..
    } = batch;
    let mut chunks = buffer.chunks_exact_mut(MAX_DATAGRAM);
    let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
        std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = match recvmmsg(socket, headers, slices.iter_mut(), flags, None) {
        Ok(received) => received,
        // An ICMP error about an earlier datagram.
        Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let mut count = 0;
    for (i, message) in received.enumerate() {
        count += 1;
        if let Some(from) = message.address.as_ref().and_then(to_std) {
            let start = i * MAX_DATAGRAM;
            let range = start..start + message.bytes.min(MAX_DATAGRAM);
            let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
            let list = if whole { &mut *items } else { &mut *cut };
            list.push(Item {
                peer: Peer::udp(from),
                identity: Identity::None,
                range,
                window: None,
            });
        }
    }
    Ok(count == BATCH)
}

/// At most [`BATCH`] of them.
fn send_now(socket: RawFd, part: &[Outgoing]) -> io::Result<usize> {
    if let [one] = part {
        let to = SockaddrStorage::from(one.to.address);
        return Ok(sendto(socket, &one.bytes, &to, MsgFlags::MSG_DONTWAIT).map(|_| 1)?);
    }
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    let mut addresses = [None; BATCH];
    for ((slice, address), item) in slices.iter_mut().zip(&mut addresses).zip(part) {
        *slice = [IoSlice::new(&item.bytes)];
        *address = Some(SockaddrStorage::from(item.to.address));
    }
    let count = part.len().min(BATCH);
    SEND.with_borrow_mut(|headers| {
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(
            socket,
            headers,
            &slices[..count],
            &addresses[..count],
            [],
            flags,
        )?;
        Ok(sent.count())
    })
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
mod tests;
