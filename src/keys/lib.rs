//! The keys that packages are signed with.
//!
//! They lie sealed (AES-256-GCM) in one file of the store's folder; what seals them comes from a
//! file or the environment. A key may also be behind a command that signs, so that this program
//! never has it.

mod command;
mod key;
mod ring;
mod seal;

pub use command::CommandError;
pub use key::Secret;
pub use ring::{Entry, KeyError, Keyring, Origin};
pub use seal::{Master, SealError};
pub use tinsmith_package::{Algorithm, KeyId, TrustAnchor};
