//! DTLS 1.2 without a heap, a socket, a clock or randomness: the record layer after the handshake
//! for both ends, with Connection IDs (RFC 9146), and the handshake of a [`Client`] with a pre-shared
//! key or, with the feature `rpk`, with raw public keys (RFC 7250), with `x509` with certificates.
//!
//! An [`Association`] is what is left of a handshake: two keys, what was received, which numbers
//! may be written. It seals and opens records in place in the caller's buffers, is small, and can
//! be written down ([`Association::encode`]) and read again after a restart.
//!
//! # Numbers are never used twice
//!
//! A record number used twice with one key gives both contents away. So numbers are *reserved*:
//! [`Association::reserve`] raises the mark up to which numbers may be used, the association is
//! encoded and made durable, and [`Association::confirm_reserved`] lets [`Association::seal`] use
//! them. A restart goes on at the mark. Who keeps no association over a restart calls
//! [`Association::use_all_numbers`].
//!
//! What was received is written down as well, so a record that came before the association was
//! encoded is not taken again after a restart. Who wants that for every record with an effect
//! encodes the association together with the effect.
//!
//! # AES
//!
//! The block cipher is an [`Aes`]: [`SoftAes`] everywhere, a board's peripheral where there is one.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod aead;
mod aes;
mod alert;
mod association;
mod bytes;
mod cid;
mod client;
#[cfg(feature = "rpk")]
mod curve;
#[cfg(feature = "rpk")]
mod der;
mod keys;
mod prf;
mod protection;
mod record;
mod stored;
#[cfg(test)]
mod testing;
mod window;
#[cfg(feature = "x509")]
mod x509;

pub use crate::aead::Aead;
#[cfg(feature = "soft-aes")]
pub use crate::aes::SoftAes;
pub use crate::aes::{Aes, BLOCK, Keyed};
pub use crate::alert::{Alert, AlertDescription, AlertLevel};
pub use crate::association::{Association, Content, EPOCH, Opened, Role, Start};
pub use crate::cid::{Cid, CidTooLong, MAX_CID};
pub use crate::client::{
    Client, Credentials, HandshakeError, MAX_IDENTITY, Misbehaved, Offer, Output, Received,
};
#[cfg(feature = "rpk")]
pub use crate::curve::{MAX_PRIVATE_KEY, PUBLIC_KEY, public_key_info};
pub use crate::keys::{Keys, MAX_PSK, MasterSecret, PskTooLong, Sender};
pub use crate::protection::{MAX_OVERHEAD, OpenError, Plain, Protection, SealError};
pub use crate::record::{
    ContentType, Header, MAX_CONTENT, Number, Records, connection_id, records,
};
pub use crate::stored::{MAX_ENCODED, StoredError};
pub use crate::window::{Refused, Window};
#[cfg(feature = "x509")]
pub use crate::x509::{Flaw, MAX_CERTIFICATE, Name, Trust, Usage};
