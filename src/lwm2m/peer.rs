//! Who sends: listeners, peers and identities, as the transport tells them to the cores.

pub use tinsmith_peer::{Certified, Identity, Peer};

/// An open socket of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u8);

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Devices get their accounts here (LwM2M TS 1.1 §6.1).
    Bootstrap,
    /// Devices register here and are managed (LwM2M TS 1.1 §6.2 to §6.4).
    Management,
}
