//! Keys of devices: who may be which device, and the records of it.
//!
//! A [`Rule`] lets devices in by a raw public key or a certificate, and has no secret.
//! An [`Entry`] is a pre-shared key, the identity that a device gives with it, the endpoint names
//! that it may have, and what it opens. A [`Context`] is what a device with OSCORE shares with the
//! server; how its keys were used is sealed with another key, which no backup has. [`Keys`] answers from memory during handshakes, bootstraps
//! and Registers; what it promises is durable first. In the store keys are sealed by a [`Seal`].

mod context;
mod contexts;
mod entry;
mod keys;
mod rule;
mod rules;
mod table;

pub use context::Context;
pub use entry::{Entry, EntryError, KEY, MAX_ENDPOINTS, MAX_IDENTITY, Origin, Purpose};
pub use keys::{
    Added, KeyError, Keys, Listed, MAX_KEYS, Recheck, Revoke, RevokeContext, server_id,
};
pub use rule::{Proof, Rule};
pub use tinsmith_dtls_server::{Authority, Own, OwnError, authority_digest};
pub use tinsmith_seal::{Key, Seal};
