//! What the shell gives the client, and what passes between them.

use core::cell::RefCell;
use core::net::SocketAddr;

use lwm2m_objects::Path;
use tinsmith_coap::Code;
use tinsmith_package::Anchors;

use crate::device::BODY;
use crate::event::Event;
use crate::flash::{FlashError, FlashOp};
use crate::handler::Ticket;
use crate::session::{Observation, Session};
use crate::store::accounts::Accounts;
use crate::store::journal;
use crate::update::receiver::RECEIVE;
use crate::update::state::UpdateState;

/// Memory that the client works in for as long as it lives.
pub struct Memory<'a> {
    /// One entry for the bootstrap server and one for each management server.
    pub sessions: &'a mut [Session<'a>],
    /// One entry for each observation that may exist; every management server has its share.
    pub observations: &'a mut [Observation],
    /// Activations: 27300/0/5 bytes, aligned to 32. Input and Output of 27304 lie in it.
    pub arena: &'a mut [u8],
    /// Everything else.
    pub buffers: &'a mut Buffers,
}

/// State and buffers of a fixed size, all zeros before the start.
pub struct Buffers {
    pub(crate) accounts: Accounts,
    /// The accounts as a bootstrap server sees them.
    pub(crate) staged: Accounts,
    pub(crate) update: UpdateState,
    pub(crate) anchors: Anchors,
    /// One record of the journal, or one program of the receiver.
    pub(crate) flash: [u8; journal::BUFFER],
    /// The head of a package, then what does not yet fill a write unit.
    pub(crate) receive: [u8; RECEIVE],
    /// A body that arrives in blocks (everything but opaque streams).
    pub(crate) body: [u8; BODY],
    /// For decoders.
    pub(crate) scratch: RefCell<[u8; BODY]>,
    /// The datagram that answers the last one received.
    pub(crate) answer: [u8; DATAGRAM],
}

impl Buffers {
    /// Buffers, to be put into a `static` or on the heap.
    pub const fn new() -> Self {
        Self {
            accounts: Accounts::EMPTY,
            staged: Accounts::EMPTY,
            update: UpdateState::NEW,
            anchors: Anchors::EMPTY,
            flash: [0; journal::BUFFER],
            receive: [0; RECEIVE],
            body: [0; BODY],
            scratch: RefCell::new([0; BODY]),
            answer: [0; DATAGRAM],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Largest datagram that we send, in bytes (RFC 7252 §4.6).
pub(crate) const DATAGRAM: usize = 1152;

/// What happens to the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// A datagram has arrived.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// The last [`FlashOp`] is done, or failed.
    FlashDone(Result<(), FlashError>),
    /// [`next_deadline`](crate::Client::next_deadline) has passed; harmless if it has not.
    Timer,
    /// The application has changed what it shows at, above or below this path. For an object's
    /// path, it may have other instances than before: servers get an Update that lists them.
    Changed(Path),
    /// What a handler answered with [`Done::Later`](crate::Done::Later) is done, or failed with
    /// this code. A ticket that is not open any more means nothing.
    Done(Ticket, Result<(), Code>),
    /// The shell wants to end: registrations are given up, then [`Event::Stopped`] comes.
    Stop,
}

/// What the client wants done. Ask until there is none.
#[derive(Debug, PartialEq)]
pub enum Output<'a> {
    /// Send the first `len` bytes of the buffer given to `poll`.
    Transmit {
        /// To whom.
        to: SocketAddr,
        /// Bytes.
        len: usize,
    },
    /// Carry out an operation on the flash and answer with [`Input::FlashDone`].
    ///
    /// No other comes before that.
    Flash(FlashOp<'a>),
    /// Reset the device (on a host: make a new client from the same flash).
    Reboot,
    /// Something a log would show; nothing has to be done.
    Event(Event),
}
