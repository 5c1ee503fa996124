//! What the client is given: configuration, memory, and the board.

use core::cell::RefCell;
use core::net::SocketAddr;

use lwm2m_objects::{Codec, Path, Records};
use tinsmith_coap::Code;
use tinsmith_module::Kernel;

use crate::flash::{FlashError, FlashLayout, FlashOp, FlashRead, LayoutError};
use crate::object::{Object, Ticket};
use crate::store::accounts::Accounts;
use crate::store::journal;
use crate::update::firmware::{FirmwareState, UpdateResult};
use crate::update::slot::{ModelResult, SlotState};
use crate::update::state::UpdateState;

/// Two clocks, read by the shell before each call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a monotonic clock with any origin.
    pub mono: u64,
    /// Seconds since 1970-01-01 UTC; 0 if nobody has told the device yet.
    pub wall: i64,
}

/// The board, as the client uses it while it handles an input.
///
/// Everything that takes long or may fail is an [`Output`] instead.
pub trait Platform: FlashRead {
    /// Microseconds of a clock with any origin; only differences are used, for latencies.
    fn micros(&self) -> u64;

    /// Unpredictable bits, for tokens, message ids and jitter.
    fn random(&mut self) -> u32;
}

/// What the client is told once.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    /// Endpoint name, at most 64 bytes.
    pub endpoint: &'a str,
    /// Factory bootstrap account: the URI of the bootstrap server, `coap://ADDRESS:PORT`.
    pub bootstrap_uri: &'a str,
    /// /3/0/0
    pub manufacturer: &'a str,
    /// /3/0/1
    pub model_number: &'a str,
    /// /3/0/2
    pub serial_number: &'a str,
    /// /3/0/3
    pub firmware_version: &'a str,
    /// The constant resources of 27300, 27301 and 27302, in the order of their paths.
    ///
    /// The client adds what it knows itself: 27300/0/6, /8 and /13.
    pub capability: &'a dyn Records,
    /// The objects of the application; each id once, and none that the client has itself.
    pub objects: &'a [&'a dyn Object],
    /// The content formats that it reads and writes, [`Codec::ALL`] or less.
    pub formats: &'static [Codec],
    /// The kernels that modules run on, those of 27301/0/10; [`tinsmith_module::kernels::ALL`] or
    /// less.
    pub kernels: &'static [&'static Kernel],
    /// Class identifier of its modules, made of the digest of its capability
    /// (`module_class` on a host).
    pub module_class: [u8; 16],
    /// Where the flash is.
    pub layout: FlashLayout,
    /// Bytes of stack that a module may use.
    pub stack_bytes: u32,
    /// Instruction sets that a module may use, bits of `tinsmith_module::format::isa`.
    pub instruction_sets: u32,
}

/// Memory that the client works in for as long as it lives.
pub struct Memory<'a> {
    /// One entry for the bootstrap server and one for each management server.
    pub sessions: &'a mut [crate::Session<'a>],
    /// One entry for each observation that may exist; every management server has its share.
    pub observations: &'a mut [crate::Observation],
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

/// Bytes of a package head and two blocks of 1,024 bytes.
pub(crate) const RECEIVE: usize = 2048 + 64;
/// Largest body of a Write that is not streamed, in bytes.
pub(crate) const BODY: usize = 1280;
/// Largest datagram that we send, in bytes (RFC 7252 §4.6).
pub(crate) const DATAGRAM: usize = 1152;

impl Buffers {
    /// Buffers, to be put into a `static` or on the heap.
    pub const fn new() -> Self {
        Self {
            accounts: Accounts::EMPTY,
            staged: Accounts::EMPTY,
            update: UpdateState::NEW,
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

/// What a log would show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A Bootstrap-Request is on its way.
    Bootstrapping,
    /// The bootstrap server has finished, and its accounts are stored.
    Bootstrapped,
    /// Bootstrap failed; the next attempt comes after the given number of seconds, 0 if the servers
    /// known before are tried first.
    BootstrapFailed {
        /// Why.
        reason: BootstrapError,
        /// Seconds.
        retry_s: u32,
    },
    /// Registered at a server.
    Registered {
        /// Short Server Id.
        server: u16,
    },
    /// Register or Update failed; the next attempt comes after the given number of seconds.
    RegistrationFailed {
        /// Short Server Id.
        server: u16,
        /// CoAP code of the answer, 0 if none came.
        code: u8,
        /// Seconds.
        retry_s: u32,
    },
    /// The registration was given up.
    Deregistered {
        /// Short Server Id.
        server: u16,
    },
    /// Object 5 changed.
    Firmware {
        /// /5/0/3
        state: FirmwareState,
        /// /5/0/5
        result: UpdateResult,
    },
    /// A module slot changed.
    Slot {
        /// Instance of 27303.
        slot: u8,
        /// /27303/x/7
        state: SlotState,
        /// /27303/x/8
        result: ModelResult,
    },
    /// A flash operation failed.
    FlashFailed,
    /// After [`Input::Stop`]: there is nothing left to do.
    Stopped,
}

/// Why a bootstrap failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The bootstrap server did not answer, or stopped in the middle.
    TimedOut,
    /// It answered with this CoAP code.
    Rejected(u8),
    /// It finished without a usable management account.
    Inconsistent,
    /// The flash failed.
    Flash,
}

/// Why a client can't be made: the board's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The flash layout.
    Layout(LayoutError),
    /// The endpoint name is empty or longer than 64 bytes.
    Endpoint,
    /// The bootstrap URI is not `coap://ADDRESS:PORT` with an IP address.
    BootstrapUri,
    /// Fewer than two sessions, or more than 255.
    Sessions,
    /// Two objects have the same id, or the application has one that is the client's.
    Objects,
    /// 27300 lacks a resource that the client needs itself: the ABI version or the arena's size.
    Capability,
    /// The arena is smaller than 27300/0/5 says, or not aligned to 32.
    Arena,
    /// The operators of 27301/0/10 are not an array of `[id, version]`, or too many.
    Kernels,
}

impl From<LayoutError> for ConfigError {
    fn from(e: LayoutError) -> Self {
        Self::Layout(e)
    }
}
