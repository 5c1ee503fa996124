//! A network between devices and the server: it passes every datagram on, counts them, remembers
//! the blocks of a push, and calls a test before and after a datagram that the test chose.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the datagram is passed on.
    Before,
    /// As soon as it was passed on.
    After,
    /// When the receiver had some time for it.
    Later,
}

/// What the network saw of a push to /5/0/0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// The server sent the block that begins at this byte.
    Sent { mid: u16, at: usize },
    /// The device has everything up to this byte.
    Acknowledged { end: usize },
    /// Here it was cut.
    Cut,
}

type Action = Box<dyn FnMut() + Send>;

#[derive(Default)]
struct State {
    counting: bool,
    count: usize,
    cut: Option<(usize, Moment, Action)>,
    blocks: Vec<Block>,
}

struct Shared {
    front: UdpSocket,
    server: SocketAddr,
    state: Mutex<State>,
    stop: AtomicBool,
    /// How often addresses have changed.
    addresses: AtomicUsize,
}

/// A network with a server behind it.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// Where devices find the server.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// A socket for [`Proxy::new`], so that the server can be told the address before it starts.
    pub(crate) fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("a free port")
    }

    /// Passes datagrams between the devices that send to `front` and the server.
    pub(crate) fn new(front: UdpSocket, server: SocketAddr) -> Self {
        let address = front.local_addr().expect("a bound socket");
        front
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout");
        let shared = Arc::new(Shared {
            front,
            server,
            state: Mutex::default(),
            stop: AtomicBool::new(false),
            addresses: AtomicUsize::new(0),
        });
        let thread = shared.clone();
        std::thread::spawn(move || thread.pass_requests());
        Self { shared, address }
    }

    /// From now on devices come from other addresses, and the old ones lead nowhere, as with a router
    /// that was switched off and on.
    pub(crate) fn rebind(&self) {
        self.shared.addresses.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().expect("no panic")
    }

    /// Counts from now on, and calls `action` at datagram `number` (from 1).
    pub(crate) fn arm(&self, cut: Option<(usize, Moment, Action)>) {
        *self.state() = State {
            counting: true,
            cut,
            ..State::default()
        };
    }

    /// Datagrams since it was armed.
    pub(crate) fn count(&self) -> usize {
        self.state().count
    }

    /// Blocks of pushes since it was armed.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.state().blocks.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn pass_requests(self: Arc<Self>) {
        let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut addresses = 0;
        let mut bytes = [0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((length, device)) = self.front.recv_from(&mut bytes) else {
                continue;
            };
            let now = self.addresses.load(Ordering::Relaxed);
            if now != addresses {
                addresses = now;
                backs.clear();
            }
            let back = backs.entry(device).or_insert_with(|| {
                let back = Arc::new(Proxy::socket());
                back.connect(self.server).expect("an address");
                back.set_read_timeout(Some(Duration::from_millis(50)))
                    .expect("a timeout");
                let (shared, socket) = (self.clone(), back.clone());
                std::thread::spawn(move || shared.pass_answers(&socket, device, now));
                back
            });
            self.pass(true, &bytes[..length], || drop(back.send(&bytes[..length])));
        }
    }

    fn pass_answers(&self, back: &UdpSocket, device: SocketAddr, addresses: usize) {
        let mut bytes = [0; 2048];
        let same = || self.addresses.load(Ordering::Relaxed) == addresses;
        while !self.stop.load(Ordering::Relaxed) && same() {
            let Ok(length) = back.recv(&mut bytes) else {
                continue;
            };
            let bytes = &bytes[..length];
            self.pass(false, bytes, || drop(self.front.send_to(bytes, device)));
        }
    }

    /// Passes one datagram on; no other passes meanwhile.
    fn pass(&self, to_server: bool, bytes: &[u8], mut forward: impl FnMut()) {
        let mut state = self.state.lock().expect("no panic");
        let state = &mut *state;
        if !state.counting {
            return forward();
        }
        state.count += 1;
        // What a device has answered it has, also if the answer is lost.
        state.blocks.extend(block(to_server, bytes));
        let cut = state.cut.take_if(|(number, ..)| *number == state.count);
        let Some((_, moment, mut action)) = cut else {
            return forward();
        };
        if moment != Moment::Before {
            forward();
        }
        if moment == Moment::Later {
            std::thread::sleep(Duration::from_millis(3));
        }
        action();
        state.blocks.push(Block::Cut);
        if moment == Moment::Before {
            forward();
        }
    }
}

/// Looks into a CoAP message (RFC 7252 §3) for Block1 of a push.
fn block(to_server: bool, bytes: &[u8]) -> Option<Block> {
    let (&first, &code) = (bytes.first()?, bytes.get(1)?);
    let mid = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let mut at = 4 + usize::from(first & 15);
    let mut number = 0;
    let (mut path, mut block1) = (Vec::new(), None);
    while let Some(&head) = bytes.get(at).filter(|head| **head != 0xFF) {
        at += 1;
        let mut extended = |nibble: u8| {
            Some(match nibble {
                13 => {
                    at += 1;
                    usize::from(*bytes.get(at - 1)?) + 13
                }
                14 => {
                    at += 2;
                    usize::from(u16::from_be_bytes(bytes.get(at - 2..at)?.try_into().ok()?)) + 269
                }
                nibble => usize::from(nibble),
            })
        };
        number += extended(head >> 4)?;
        let length = extended(head & 15)?;
        let value = bytes.get(at..at + length)?;
        at += length;
        match number {
            11 => path.push(value),
            27 => block1 = Some(value.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b))),
            _ => {}
        }
    }
    let block1 = block1?;
    let size = 16_usize << (block1 & 7);
    let at = (block1 >> 4) * size;
    match (to_server, code) {
        // PUT
        (false, 3) if path == [b"5", b"0", b"0"] => Some(Block::Sent { mid, at }),
        // 2.31 Continue, 2.04 Changed
        (true, 0x5F | 0x44) => Some(Block::Acknowledged { end: at + size }),
        _ => None,
    }
}
