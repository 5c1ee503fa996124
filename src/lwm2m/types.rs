//! What the LwM2M core and its users (reconcile, HTTP) say to each other.
//!
//! A request to a device is a record with an expiry and its outcome is an [`Event`], never a
//! future: whoever asked may be gone, and may come back, before the device answers.

use std::sync::Arc;

use lwm2m_objects::{OwnedValue, Path};

use super::body::Body;
use super::peer::{Identity, Peer, Role};
use super::target::{PathValue, Target};

/// Two clocks: deadlines inside a process use `mono`, stored deadlines use `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds of a monotonic clock with an arbitrary origin.
    pub mono: u64,
    /// Milliseconds since the Unix epoch.
    pub wall: u64,
}

/// The name a device registers under; it stays when addresses and locations change.
pub type Endpoint = Arc<str>;

/// Chosen by the asker; unique among the open requests of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something asked of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRequest {
    /// Comes back in [`Event::Completed`] and [`Event::Progress`].
    pub id: RequestId,
    /// The device.
    pub endpoint: Endpoint,
    /// What it is asked to do.
    pub operation: Operation,
    /// Wall time (ms) after which the request is answered with [`Outcome::Expired`]. A
    /// [`Operation::Push`] that has begun, or an [`Operation::Write`] in blocks, goes on as long as
    /// each block is acknowledged in time; it ends with [`Outcome::TimedOut`] when one is not. Of an [`Operation::Unit`] it bounds the
    /// first operation; each that follows has as long again.
    pub expires: u64,
    /// Survives the end of the process: stored before it is sent, sent after a restart if it is
    /// not over, forgotten (durably) before [`Event::Completed`] is told. So it is sent at least
    /// once; twice only if the process or the registration ends while it is open.
    ///
    /// Once it is accepted it waits by endpoint: neither a new Register nor the end of the
    /// registration nor a restart ends it, only the device's answer, its expiry or its asker.
    /// Needs room in a record, so a [`Operation::Push`] can't be durable, nor an
    /// [`Operation::Unit`], of which nobody would know how far it came.
    ///
    /// The reconciler's requests are not durable: its stored attempt covers them, and after a
    /// restart it reads before it does anything. Those of HTTP are not, unless asked for: who
    /// waits for the answer is gone after a restart.
    pub durable: bool,
}

/// Device management and information reporting (LwM2M TS 1.1 §6.3, §6.4).
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Read resources, instances or objects.
    Read {
        /// What to read.
        target: Target,
    },
    /// Write resources; the core chooses a content format that the device takes.
    Write {
        /// A resource (instance) or an object instance.
        target: Target,
        /// Complete paths below the target with their values.
        values: Vec<PathValue>,
        /// Replace (PUT) or partial update (POST).
        replace: bool,
    },
    /// Write one opaque resource block-wise from a file the core does not hold in memory.
    Push {
        /// The resource.
        path: Path,
        /// The bytes.
        body: Body,
        /// First byte to send; a multiple of the block size that is used.
        from: u32,
        /// Value of the Request-Tag option (RFC 9175 §3).
        tag: [u8; 8],
    },
    /// Execute a resource.
    Execute {
        /// The resource.
        path: Path,
        /// Arguments as LwM2M TS 1.1 §6.3.5 writes them; may be empty.
        arguments: String,
    },
    /// Start an observation; kept and restored until it is cancelled or the device is gone.
    Observe {
        /// What to observe.
        target: Target,
    },
    /// Stop an observation.
    CancelObserve {
        /// What was observed.
        target: Target,
    },
    /// Discover objects, instances and resources.
    Discover {
        /// Where to look.
        path: Path,
    },
    /// One after the other, with nothing of anybody else in between; ends at the first that is not
    /// a success, with [`Outcome::Unit`]. 1 to [`MAX_UNIT`], none of them a unit.
    Unit(Vec<Operation>),
}

/// The most operations of an [`Operation::Unit`].
pub const MAX_UNIT: usize = 16;

impl Operation {
    /// A [`Operation::Read`].
    pub fn read(target: impl Into<Target>) -> Self {
        let target = target.into();
        Operation::Read { target }
    }

    /// A [`Operation::Write`] of values as of now.
    pub fn write(
        target: impl Into<Target>,
        values: Vec<(Path, OwnedValue)>,
        replace: bool,
    ) -> Self {
        Operation::Write {
            target: target.into(),
            values: values.into_iter().map(PathValue::from).collect(),
            replace,
        }
    }

    /// A [`Operation::Observe`].
    pub fn observe(target: impl Into<Target>) -> Self {
        let target = target.into();
        Operation::Observe { target }
    }

    /// A [`Operation::CancelObserve`].
    pub fn cancel_observe(target: impl Into<Target>) -> Self {
        let target = target.into();
        Operation::CancelObserve { target }
    }

    /// What it is about; of a unit what the first is about.
    pub fn target(&self) -> Target {
        match self {
            Operation::Read { target }
            | Operation::Write { target, .. }
            | Operation::Observe { target }
            | Operation::CancelObserve { target } => target.clone(),
            Operation::Push { path, .. }
            | Operation::Execute { path, .. }
            | Operation::Discover { path } => (*path).into(),
            Operation::Unit(all) => all
                .first()
                .map_or_else(|| Path::ROOT.into(), Operation::target),
        }
    }

    /// The path it is about, if it is one; of a unit that of the first.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Operation::Read { target }
            | Operation::Write { target, .. }
            | Operation::Observe { target }
            | Operation::CancelObserve { target } => target.path(),
            Operation::Push { path, .. }
            | Operation::Execute { path, .. }
            | Operation::Discover { path } => Some(path),
            Operation::Unit(all) => all.first().and_then(Operation::path),
        }
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// 2.05 with decoded values, complete paths.
    Content(Vec<PathValue>),
    /// 2.05 with the values that were to be observed, and no observation: the answer had no Observe
    /// option, so the device will not notify (RFC 7641 §3.1).
    NotObserved(Vec<PathValue>),
    /// 2.05 to a Discover: the link-format text.
    Links(String),
    /// 2.01, 2.02, 2.04.
    Done,
    /// The device answered with an error.
    Rejected {
        /// CoAP code, class * 32 + detail.
        code: u8,
        /// The diagnostic payload, if it is text.
        diagnostic: String,
    },
    /// The device answered 5.03 and said when to ask again. That is done while the request lives,
    /// so it would have expired before, or the device said so too often.
    Unavailable {
        /// Seconds until it may be asked again (Max-Age).
        after: u32,
        /// The diagnostic payload, if it is text.
        diagnostic: String,
    },
    /// The device answered with something that can't be understood.
    Malformed(String),
    /// No answer after all retransmissions, to a request that is not durable; `sent` bytes of a
    /// Push were acknowledged.
    TimedOut {
        /// Acknowledged bytes.
        sent: u32,
    },
    /// The device answered Reset.
    Reset,
    /// The registration ended or was replaced (under a request that is not durable), the asker
    /// withdrew the request, or it could not be queued or stored.
    Cancelled(String),
    /// The expiry passed before the request could be sent or answered.
    Expired,
    /// No such registration.
    NotRegistered,
    /// Of an [`Operation::Unit`]: the outcomes of its operations up to the first that is not a
    /// success. All others after it were not sent.
    Unit(Vec<Outcome>),
}

impl Outcome {
    /// The device did what it was asked.
    pub fn is_success(&self) -> bool {
        match self {
            Outcome::Content(_) | Outcome::Links(_) | Outcome::Done => true,
            Outcome::Unit(all) => all.iter().all(Outcome::is_success),
            _ => false,
        }
    }
}

/// What the LwM2M core tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A Register was accepted (and is stored), or a registration was restored after a restart.
    Registered {
        /// The device.
        endpoint: Endpoint,
        /// A copy of what is known about it.
        registration: Arc<Registration>,
        /// False after a restart of the server: the device itself noticed nothing.
        new: bool,
    },
    /// A Register or Bootstrap-Request was refused, since the name is not that of who sent it.
    Impostor {
        /// The name.
        endpoint: Endpoint,
        /// Who wanted it.
        identity: Identity,
        /// Where from.
        peer: Peer,
        /// What for.
        role: Role,
    },
    /// An Update was accepted.
    Updated {
        /// The device.
        endpoint: Endpoint,
        /// As it is now.
        registration: Arc<Registration>,
    },
    /// Deregistered, or the lifetime passed.
    Deregistered {
        /// The device.
        endpoint: Endpoint,
        /// True if the lifetime passed without an Update.
        expired: bool,
    },
    /// A notification of an observation that is known.
    Notified {
        /// The device.
        endpoint: Endpoint,
        /// What is observed.
        target: Target,
        /// Complete paths and values.
        values: Vec<PathValue>,
    },
    /// A notification that can't be read: its values are lost, the observation goes on.
    Unreadable {
        /// The device.
        endpoint: Endpoint,
        /// What is observed.
        target: Target,
        /// What is wrong with it.
        error: String,
    },
    /// An observation ended without being cancelled: the device answered with an error
    /// (RFC 7641 §4.2), or it was the oldest of too many. It is not started again.
    ObservationEnded {
        /// The device.
        endpoint: Endpoint,
        /// What was observed.
        target: Target,
        /// The code of the notification, class * 32 + detail; `None`: too many observations.
        code: Option<u8>,
    },
    /// A request ended; sent once for each request.
    Completed {
        /// The device.
        endpoint: Endpoint,
        /// Which.
        id: RequestId,
        /// How.
        outcome: Outcome,
    },
    /// More bytes of a Push were acknowledged.
    Progress {
        /// The device.
        endpoint: Endpoint,
        /// Which.
        id: RequestId,
        /// Acknowledged bytes, counted from the start of the body.
        sent: u32,
        /// Size of the body.
        total: u32,
    },
    /// A device does not answer, or is heard again after that.
    Reachable {
        /// The device.
        endpoint: Endpoint,
        /// Whether it is.
        reachable: bool,
    },
    /// A device finished its bootstrap, or failed to.
    Bootstrapped {
        /// The device.
        endpoint: Endpoint,
        /// Empty after success, else the step that failed and why.
        error: Option<String>,
    },
}

/// What a Register says of the device besides its name, place and lifetime; one for all devices
/// that say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Announced {
    /// e.g. "1.1".
    pub version: String,
    /// e.g. "U".
    pub binding: String,
    /// Prefix of all paths, mostly empty (LwM2M TS 1.1 §6.2.1.2, alternate path).
    pub root: Vec<String>,
    /// Objects and instances with the object version where one was given.
    pub objects: Vec<(Path, Option<String>)>,
    /// Content formats of the root link's `ct`, if any.
    pub formats: Vec<u16>,
    /// Unknown parameters of the Register, kept.
    pub parameters: Vec<(String, String)>,
}

/// Whether a device that is registered is there, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Wall time (ms) of the last sign of life.
    pub seen: u64,
    /// False from a request that was not answered until the next sign of life, and while a device in
    /// queue mode sleeps.
    pub reachable: bool,
}

/// A device that is registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The device.
    pub endpoint: Endpoint,
    /// The path of the registration below `/rd/`.
    pub location: String,
    /// Seconds.
    pub lifetime: u32,
    /// Where it sent from last, as text.
    pub address: String,
    /// What other devices of its kind announce too.
    pub announced: Arc<Announced>,
    /// Wall time (ms) of the Register.
    pub registered: u64,
    /// Wall time (ms) of the last sign of life.
    pub seen: u64,
    /// Wall time (ms) at which it expires.
    pub expires: u64,
}
