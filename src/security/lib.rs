//! Keys of devices: who may be which device, and the records of it.
//!
//! An [`Entry`] is a pre-shared key, the identity that a device gives with it, the endpoint names
//! that it may have, and what it opens. [`Keys`] answers from memory during handshakes, bootstraps
//! and Registers; what it promises is durable first. In the store keys are sealed by a [`Seal`].

mod entry;
mod keys;
mod table;

pub use entry::{Entry, EntryError, KEY, MAX_ENDPOINTS, MAX_IDENTITY, Origin, Purpose};
pub use keys::{KeyError, Keys, MAX_KEYS, Revoke};
pub use tinsmith_seal::{Key, Seal};
