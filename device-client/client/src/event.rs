//! What a log would show.

use lwm2m_objects::compute::{ModelResult, SlotState};
use lwm2m_objects::firmware::{State as FirmwareState, UpdateResult};

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
    /// There is no DTLS session with a server; what was to be said there is tried again later.
    #[cfg(feature = "dtls")]
    HandshakeFailed(tinsmith_dtls::HandshakeError),
    /// OSCORE's keys were derived again, because the server or this device had lost what it knew of
    /// those before; the client registers anew.
    #[cfg(feature = "oscore")]
    NewKeys {
        /// Short Server Id, 0 for the bootstrap server.
        server: u16,
    },
    /// After [`Input::Stop`](crate::Input::Stop): there is nothing left to do.
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
    /// No secure session came about.
    Insecure,
}
